"""Results that reads may be answered with again: the cache of one database handle, off by default.

A call is answered from here only if its settings' `cache_seconds` say so. What is kept is dropped
when a write of the same process changes one of the tables that the read declares, before that write
returns. Writes of other processes, by triggers, by functions that a SELECT calls, and by cascades
to tables that no operation names are not seen: for these an answer may be as old as
`cache_seconds`. The database is never asked whether an answer still holds.

A result is kept only if no write to its tables ended while it was read: it might be from before.
"""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from uuid import UUID

from homeostat.access.caller import Caller
from homeostat.access.operation import Operation
from homeostat.access.settings import ExecutionSettings
from homeostat.driver.wire import Params, Rows

RESULTS_MAX = 1_024
RESULT_BYTES_MAX = 1_000_000  # a larger result is not kept
BYTES_MAX = 16_000_000  # of all results and the parameters they were asked with
ENTRY_BYTES = 1_000  # of what is kept beside them: a guess for CPython
NAMES_MAX = 1_024
_FIXED = {bool, bytes, date, datetime, Decimal, float, int, str, time, timedelta, type(None), UUID}
Key = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """One result, and since when it holds by the handle's clock; `fixed`: no value can change."""

    rows: Rows
    fixed: bool
    tables: frozenset[str]
    at: float
    size: int


@dataclass(frozen=True, slots=True)
class ResultCounts:
    """What the cache did since the handle was opened, and what it holds.

    Attributes:
        hits: calls that were answered from it.
        misses: calls that were allowed to be, and were not.
        kept: results in it.
        bytes: about how much memory they take.
    """

    hits: int = 0
    misses: int = 0
    kept: int = 0
    bytes: int = 0


class Results:
    """The kept results, the least recently used dropped first; safe to use from any thread."""

    def __init__(self, dialect: str) -> None:
        """Start empty; `dialect` says which statement an operation is."""
        self._dialect = dialect
        self._lock = threading.Lock()
        self._kept: OrderedDict[Key, Kept] = OrderedDict()
        self._bytes = 0
        self._writes = 0  # counts forgettings
        self._written: dict[str, int] = {}  # the last forgetting of a table
        self._all_written = 0
        self._hits = self._misses = 0

    def find(self, key: Key, *, now: float, seconds: float) -> Rows | None:
        """Return a result that is no older than so many seconds, as a copy."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and now - kept.at < seconds:
                self._kept.move_to_end(key)
                self._hits += 1
            else:
                if kept is not None:
                    self._drop(key)
                self._misses += 1
                return None
        return _copy(kept.rows, fixed=kept.fixed)

    def stamp(self) -> int:
        """Return what `keep` tells by whether a write ended since; take it before reading."""
        with self._lock:
            return self._writes

    def keep(self, key: Key, rows: Rows, tables: Iterable[str], *, stamp: int, at: float) -> None:
        """Keep a result that was read after the stamp, unless a write to its tables came between.

        Args:
            key: of the call.
            rows: the result.
            tables: what it was read from.
            stamp: from before it was read.
            at: when reading began, by the clock of `find`.
        """
        size = ENTRY_BYTES + _bytes_of(key)
        fixed = True
        for row in rows.rows:
            size += _bytes_of(row)
            fixed = fixed and _FIXED.issuperset(map(type, row))
            if size > RESULT_BYTES_MAX:
                return
        if size > RESULT_BYTES_MAX:
            return
        names = _names(tuple(tables))
        kept = Kept(_copy(rows, fixed=fixed), fixed, names, at, size)
        with self._lock:
            written = max((self._written.get(name, 0) for name in names), default=0)
            if max(written, self._all_written) > stamp:
                return
            if key in self._kept:
                self._drop(key)
            self._kept[key] = kept
            self._bytes += size
            while self._bytes > BYTES_MAX or len(self._kept) > RESULTS_MAX:
                self._drop(next(iter(self._kept)))

    def forget(self, tables: Iterable[str]) -> None:
        """Drop what was read from tables that were written; no table: all, since any may be."""
        names = _names(tuple(tables))
        with self._lock:
            self._writes += 1
            if not names:
                self._all_written = self._writes
                self._written.clear()
                self._kept.clear()
                self._bytes = 0
                return
            for name in names:
                self._written[name] = self._writes
            for key in [key for key, kept in self._kept.items() if kept.tables & names]:
                self._drop(key)

    def asked(
        self,
        operation: Operation,
        params: Params,
        caller: Caller,
        settings: ExecutionSettings,
        *,
        now: float,
    ) -> Asked:
        """Return a call with the result that is kept for it, if it may be answered so.

        `params` are as the call gave them: what the settings fill in, such as a bound in time that
        moves on, is told apart by the settings. Check the call first.
        """
        sql = operation.sql_for(self._dialect)
        asked = Asked(self, operation, _key(operation, sql, params, caller, settings))
        asked.look(now=now, seconds=settings.cache_seconds)
        return asked

    @property
    def counts(self) -> ResultCounts:
        """Return what it did and holds."""
        with self._lock:
            return ResultCounts(self._hits, self._misses, len(self._kept), self._bytes)

    def _drop(self, key: Key) -> None:
        """Drop one result. Lock held."""
        self._bytes -= self._kept.pop(key).size


class Asked:
    """One call that may be answered with a kept result, or whose own ends or becomes one.

    Attributes:
        found: the kept result, if there was one.
    """

    __slots__ = ("_at", "_key", "_operation", "_results", "_stamp", "found")

    def __init__(self, results: Results, operation: Operation, key: Key | None) -> None:
        """Use `Results.asked`."""
        self.found: Rows | None = None
        self._results = results
        self._operation = operation
        self._key = key
        self._at = 0.0
        self._stamp = 0

    def look(self, *, now: float, seconds: float) -> None:
        """Look for a kept result; without one, reading begins now."""
        if self._key is not None:
            self.found = self._results.find(self._key, now=now, seconds=seconds)
            self._at, self._stamp = now, self._results.stamp()

    def ended(self, rows: Rows | None) -> None:
        """Keep what was read; after a write, however it ended, drop what it makes old."""
        if self._operation.write:
            self._results.forget(self._operation.tables)
        elif rows is not None and self._key is not None:
            tables = self._operation.tables
            self._results.keep(self._key, rows, tables, stamp=self._stamp, at=self._at)


def remembering(attempt: Callable[..., Rows], asked: Asked) -> Callable[..., Rows]:
    """Return an attempt at a call that tells the cache how it ended."""

    def run(*call: object) -> Rows:
        rows = None
        try:
            rows = attempt(*call)
        finally:
            asked.ended(rows)
        return rows

    return run


def _key(
    operation: Operation, sql: str, params: Params, caller: Caller, settings: ExecutionSettings
) -> Key | None:
    """Return what tells a call from others with another result; None: it may not be kept.

    A read may be kept that declares its tables, asks for no freshness by a read token, and is not
    of enhanced privacy. Where the database is told the caller, callers share nothing.
    """
    if operation.write or not operation.tables or caller.read_token:
        return None
    if settings.cache_seconds <= 0 or settings.privacy == "enhanced":
        return None
    told = tuple(caller.announced().items()) if settings.announce_caller else ()
    values = tuple((name, type(params[name]), params[name]) for name in sorted(params))
    bounds = (settings.page_size, settings.horizon_seconds, settings.rows_max)
    key = (operation.name, sql, values, bounds, told)
    try:
        hash(key)
    except TypeError:  # a list or a dictionary among the values
        return None
    return key


@lru_cache(NAMES_MAX)
def _names(tables: tuple[str, ...]) -> frozenset[str]:
    """Return what tables are compared by: `Note`, `"note"` and `public.note` may be one table."""
    return frozenset(name.rpartition(".")[2].strip('"').casefold() for name in tables)


def _copy(rows: Rows, *, fixed: bool) -> Rows:
    """Return rows that can be changed without changing these; of JSON and arrays each value."""
    return Rows(rows.columns, list(rows.rows) if fixed else deepcopy(list(rows.rows)))


def _bytes_of(value: object) -> int:
    """Return about how much memory a value takes, with what it holds."""
    size = sys.getsizeof(value)
    if isinstance(value, tuple | list):
        size += sum(map(_bytes_of, value))
    elif isinstance(value, dict):
        size += sum(_bytes_of(key) + _bytes_of(one) for key, one in value.items())
    return size
