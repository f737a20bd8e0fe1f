"""Operations as the settings want them read: some of their columns, and no further back in time.

The operation's statement becomes a subquery, which both engines look through: columns that are left
out are not read from the table, and an index on the time column bounds what is. Only reads are
shaped, and only by what they declare (`columns`, `time`). The order of the statement's rows stays.
"""

from __future__ import annotations

from homeostat.access.operation import DerivedOperation, Operation
from homeostat.access.settings import ExecutionSettings
from homeostat.access.subquery import SINCE, listed, since_condition, subquery

KNOWN_MAX = 1024
_known: dict[tuple[int, str, bool, tuple[str, ...]], tuple[Operation, Operation]] = {}


def shaped(operation: Operation, settings: ExecutionSettings, dialect: str) -> Operation:
    """Return the operation as the settings want it read; made once, then remembered."""
    if not settings.shapes or operation.write or isinstance(operation, DerivedOperation):
        return operation
    bounded = (
        settings.horizon_seconds is not None
        and operation.time is not None
        and operation.since is None
    )
    columns = kept_columns(operation, settings.projection)
    if not bounded and not columns:
        return operation
    key = (id(operation), dialect, bounded, columns)
    known = _known.get(key)
    if known is None:
        if len(_known) >= KNOWN_MAX:
            _known.clear()
        made = _shaped(operation, dialect, columns, bounded=bounded)
        known = _known[key] = (operation, made)  # holding it keeps its id its own
    return known[1]


def kept_columns(operation: Operation, projection: tuple[str, ...]) -> tuple[str, ...]:
    """Return which of its declared columns an operation is read with; empty: as it stands.

    What its order, its time and its relations go by is always read.
    """
    if not projection or not operation.columns:
        return ()
    wanted = {*projection, *(part.split()[0] for part in operation.order)}
    wanted.update(relation.local for relation in operation.relations)
    if operation.time is not None:
        wanted.add(operation.time)
    kept = tuple(name for name in operation.columns if name in wanted)
    return kept if len(kept) < len(operation.columns) else ()


def _shaped(
    operation: Operation, dialect: str, columns: tuple[str, ...], *, bounded: bool
) -> Operation:
    wanted = listed("shaped", columns) or "*"
    where = ""
    if bounded and operation.time is not None:
        bound = since_condition("shaped", operation.time, operation.time_unit, dialect)
        where = f" WHERE {bound}"
    return DerivedOperation(
        operation.name,
        f"SELECT {wanted} FROM {subquery(operation, dialect)} AS shaped{where}",
        parameters=operation.parameters + ((SINCE,) if bounded else ()),
        tables=operation.tables,
        scope=operation.scope,
        limit=operation.limit,
        since=SINCE if bounded else operation.since,
        expected_ms=operation.expected_ms,
        private=operation.private,
        order=operation.order,
        relations=operation.relations,
    )
