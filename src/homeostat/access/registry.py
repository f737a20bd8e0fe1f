"""The operations that a handle knows by their names."""

from __future__ import annotations

from homeostat.access.operation import Operation
from homeostat.errors import OperationUnknownError


class Registry:
    """Operations by name, all with SQL for one dialect."""

    def __init__(self, dialect: str) -> None:
        """Know none yet."""
        self.dialect = dialect
        self._operations: dict[str, Operation] = {}

    def register(self, operation: Operation) -> None:
        """Make an operation known by its name; an equal one may be registered again.

        Raises:
            ValueError: another operation has this name.
            StatementError: it has no SQL for this database's dialect.
        """
        if self._operations.get(operation.name, operation) != operation:
            message = f"another operation is called {operation.name!r} already"
            raise ValueError(message)
        operation.sql_for(self.dialect)
        self._operations[operation.name] = operation

    def operation(self, name: str) -> Operation:
        """Return a registered operation.

        Raises:
            OperationUnknownError: nothing of this name is registered.
        """
        try:
            return self._operations[name]
        except KeyError:
            raise OperationUnknownError(where=name) from None
