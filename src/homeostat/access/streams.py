"""Streams: the rows of one statement as they come, in batches or one by one.

None of them is a generator. The garbage collector runs anywhere, also where locks are held, and it
closes a generator there, which would wait for these locks for ever. What holds a connection of its
own and is lost is left as a lost session is, from a thread of its own; see held.py.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Self, cast

from homeostat.access.held import Held
from homeostat.driver.stream import Source, batches
from homeostat.driver.wire import NO_PARAMS, Params, Rows

if TYPE_CHECKING:
    from homeostat.access.session import Session

ROWS = attrgetter("rows")


class Batches(Iterator[Rows]):
    """The batches of a session's statement, which begins with the first; see `Session.stream`.

    A PostgreSQL cursor that is lost before its end stays open until its transaction ends.
    """

    __slots__ = ("_arguments", "_deadline_ms", "_ended", "_session", "_size", "_source")

    def __init__(
        self, session: Session, sql: str, params: Params, *, size: int, deadline_ms: float | None
    ) -> None:
        """Take what will be run; use `Session.stream`."""
        self._session = session
        self._arguments = (sql, params)
        self._size = size
        self._deadline_ms = deadline_ms
        self._source: Source | None = None
        self._ended = False

    def __next__(self) -> Rows:
        """Return the next batch."""
        if self._ended:
            raise StopIteration
        session = self._session
        lease, began = session.start_statement()
        try:
            params = NO_PARAMS
            if self._source is None:
                sql, params = self._arguments
                self._source = batches(
                    lease.wire, sql, params, size=self._size, deadline_ms=self._deadline_ms
                )
            rows = next(self._source)
        except BaseException:
            self._ended = True
            raise
        finally:
            session.finish_statement(lease, began)
        session.rows += len(rows.rows)
        session.returned += len(rows.rows)
        if session.moved is not None:
            session.moved.add(params, rows.rows)
        return rows

    def close(self) -> None:
        """End the statement; does nothing when it has ended, or its session has."""
        self._ended = True
        if self._source is not None and not self._session.has_ended:
            self._source.close()


class Stream(Iterator[Rows]):
    """Batches with a reading transaction of their own around them; see `Executor.stream`."""

    __slots__ = ("_batches", "_ended", "_held", "_open")

    def __init__(self, held: HeldStream, opened: Callable[[Session], Batches]) -> None:
        """Take the transaction, which is entered for the first batch, and what reads in it."""
        self._held = held
        self._open = opened
        self._batches: Batches | None = None
        self._ended = False

    def __next__(self) -> Rows:
        """Return the next batch; after the last the connection is returned."""
        if self._ended:
            raise StopIteration
        held = self._held
        try:
            if self._batches is None:
                session = held.__enter__()
                try:
                    held.batches = self._batches = self._open(session)
                except BaseException as error:
                    held.__exit__(type(error), error, error.__traceback__)
                    raise
            return next(self._batches)
        except StopIteration:
            self._ended = True
            held.__exit__(None, None, None)
            raise
        except BaseException as error:
            self._ended = True
            held.__exit__(type(error), error, error.__traceback__)
            raise

    def close(self) -> None:
        """End reading and return the connection; does nothing when all is read."""
        if not self._ended and self._batches is not None:
            try:
                self._batches.close()
            finally:
                self._held.__exit__(GeneratorExit, GeneratorExit(), None)
        self._ended = True


class HeldStream(Held):
    """The transaction around a stream, which nobody has to leave: a loop over it may just end."""

    __slots__ = ("batches",)
    batches: Batches

    def _lost(self, session: Session) -> None:  # noqa: ARG002  it is no leak
        """End the statement before the transaction."""
        self.batches.close()


class RowStream(chain[tuple[object, ...]]):
    """The rows of a stream one by one, without a call for each; see `Database.stream`."""

    _stream: Stream

    @classmethod
    def of(cls, stream: Stream) -> Self:
        """Return the rows of the stream's batches."""
        made = cast("Self", cls.from_iterable(map(ROWS, stream)))
        made._stream = stream  # noqa: SLF001  its own
        return made

    def close(self) -> None:
        """End reading and return the connection; no row comes after."""
        self._stream.close()
        deque(self, maxlen=0)  # what is left of the batch
