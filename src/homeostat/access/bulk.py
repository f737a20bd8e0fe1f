"""What the blocking form does with many rows: pages, related rows, batches of writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from homeostat.access import pages, relations
from homeostat.access.caller import ANYONE, Caller
from homeostat.access.executor import Executor
from homeostat.access.operation import Operation
from homeostat.access.pages import Page
from homeostat.access.registry import Registry
from homeostat.access.relations import Ask, Record
from homeostat.access.session import Session
from homeostat.access.settings import ExecutionSettings, page_size
from homeostat.access.shape import shaped
from homeostat.access.transactions import Transactions
from homeostat.driver.wire import NO_PARAMS, Params, Rows
from homeostat.errors import DatabaseError, StatementError


class Bulk(Registry, Transactions):
    """What `Database` does with many rows."""

    def page(
        self,
        operation: str | Operation,
        params: Params = NO_PARAMS,
        *,
        after: str | None = None,
        size: int | None = None,
        caller: Caller = ANYONE,
    ) -> Page:
        """Read one page of an operation that declares an `order`.

        A page costs the same however deep it lies, when an index serves the order. Rows that are
        added or removed meanwhile shift nothing.

        Args:
            operation: a registered name, or the operation itself.
            params: the values by name.
            after: `Page.after` of the page before; None: the first page.
            size: rows; None: the settings' `page_size`.
            caller: on whose behalf.

        Raises:
            PageTokenError: `after` is none of this operation's.
            StatementError: the operation declares no order.
            as `Database.execute`.
        """
        if isinstance(operation, str):
            operation = self.operation(operation)
        settings = self.executor.settings_of(operation, caller)
        rows_max = page_size(settings, size)
        operation = shaped(operation, settings, self.dialect)
        reading = pages.paged(operation, self.dialect, size=rows_max, continued=after is not None)
        if after is not None:
            params = {**params, **pages.keys_of(operation, after)}
        rows = self.executor.run(reading, params, caller, settings)
        return pages.cut(operation, rows, size=rows_max)

    def load(
        self,
        operation: str | Operation,
        params: Params = NO_PARAMS,
        *,
        relations_of: Sequence[str],
        caller: Caller = ANYONE,
    ) -> list[Record]:
        """Read an operation's rows with what belongs to them: one statement for each relation.

        Args:
            operation: a registered name, or the operation itself.
            params: the values by name.
            relations_of: names that the operation declares, and of relations below them:
                `("sessions", "sessions.events")`.
            caller: on whose behalf.

        All is of one moment, read in one transaction. Two settings end that: with a `concurrency`
        above 1, that many of the statements run at a time, each on a connection and a thread of its
        own; with `cache_seconds`, each may be answered from memory.

        Returns:
            The rows as dictionaries; a relation's rows are a list under its name.

        Raises:
            StatementError: there is no such relation, or it is deeper than `prefetch_depth`.
            as `Database.execute`.
        """
        if isinstance(operation, str):
            operation = self.operation(operation)
        settings = self.executor.settings_of(operation, caller)
        wishes = relations.wanted(operation, relations_of, depth_max=settings.prefetch_depth)
        at_once = min(settings.concurrency, self.executor.pool.limit)
        if wishes and at_once == 1 and not settings.cache_seconds:
            return self._again(
                lambda session: load_in(
                    session, self.executor, operation, params, wishes, settings
                ),
                name=operation.name,
                caller=caller,
                write=False,
                retries=settings.retries,
                settings=settings,
            )
        records = self.executor.run(operation, params, caller, settings).dicts()
        loading = relations.loading(
            records,
            wishes,
            settings,
            name=operation.name,
            private=bool(operation.private),
            dialect=self.dialect,
        )
        relations.answer(
            loading,
            lambda asks: _together(
                asks, lambda one: self.executor.run(*one, caller, settings), at_once
            ),
        )
        return records

    def write_many(
        self, operation: str | Operation, rows: Iterable[Params], *, caller: Caller = ANYONE
    ) -> int:
        """Run a write for each set of parameters, all in one transaction; return rows changed.

        The rows are sent in batches of `batch_size`; write hooks do not run.

        Raises:
            StatementError: the operation does not write.
            DatabaseError: of one of the rows; names between which it lies. Nothing was written.
        """
        if isinstance(operation, str):
            operation = self.operation(operation)
        operation = writing(operation)
        settings = self.executor.settings_of(operation, caller)
        with self.executor.session(
            operation.name, caller, write=True, settings=settings
        ) as session:
            return write_all(session, operation, rows, size=settings.batch_size)


def writing(operation: Operation) -> Operation:
    """Return an operation that writes.

    Raises:
        StatementError: it is not declared to.
    """
    if not operation.write:
        message = "The operation does not write. Declare it with write=True."
        raise StatementError(message, where=operation.name)
    return operation


def write_all(session: Session, operation: Operation, rows: Iterable[Params], *, size: int) -> int:
    """Run a write for each set of parameters in batches; see `Bulk.write_many`."""
    source, done, changed = iter(rows), 0, 0
    while batch := list(islice(source, size)):
        try:
            changed += session.execute_many(operation, batch)
        except DatabaseError as error:
            where = f"{operation.name}, rows {done} to {done + len(batch) - 1}"
            raise type(error)(error.message, where=where, detail=error.detail) from None
        done += len(batch)
    return changed


def load_in(
    session: Session,
    executor: Executor,
    operation: Operation,
    params: Params,
    wishes: Sequence[relations.Wanted],
    settings: ExecutionSettings,
) -> list[Record]:
    """Read rows with what belongs to them in a transaction; see `Bulk.load`.

    Each statement of a relation is counted by its own name, and not with the operation too.
    """

    def ask(one: Ask) -> Rows:
        before = session.rows, session.returned, session.busy_seconds, session.moved
        session.moved = None
        rows = session.execute(*one)
        seconds = session.busy_seconds - before[2]
        session.rows, session.returned, session.busy_seconds, session.moved = before
        executor.count(one[0], session.caller, seconds, params=one[1], rows=rows)
        return rows

    records = session.execute(operation, params).dicts()
    loading = relations.loading(
        records,
        wishes,
        settings,
        name=operation.name,
        private=bool(operation.private),
        dialect=session.dialect,
    )
    relations.answer(loading, lambda asks: [ask(one) for one in asks])
    return records


def _together(asks: list[Ask], ask: Callable[[Ask], Rows], at_once: int) -> list[Rows]:
    """Return the rows of all statements, so many of which run at a time.

    Raises:
        DatabaseError: of the first that failed, when those under way have ended.
    """
    if at_once == 1 or len(asks) < 2:
        return [ask(one) for one in asks]
    with ThreadPoolExecutor(min(at_once, len(asks)), "homeostat-load") as threads:
        return list(threads.map(ask, asks))
