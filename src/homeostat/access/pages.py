"""Pages by key: the next page begins after the last row of this one, however deep it lies.

An operation that declares `order` is read in pages. Its statement becomes a subquery, to which the
condition "after the last row", the order and the limit are added; both engines look through such
a subquery, so an index on the order's columns serves every page alike. There is no OFFSET.

The columns of the order have to be NOT NULL and together unique: rows with a NULL in them or
with equal keys at the edge of a page would be left out.
"""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from homeostat.access.operation import DerivedOperation, Operation
from homeostat.access.subquery import column_of, subquery
from homeostat.driver.wire import Rows
from homeostat.errors import PageTokenError, StatementError

KEY = "homeostat_key_"
MARK_BYTES = 8
TOKEN_CHARACTERS_MAX = 4096
KNOWN_MAX = 1024
_known: dict[tuple[int, str, int, bool], tuple[Operation, Operation]] = {}
TYPES = {
    "datetime": (dt.datetime, dt.datetime.isoformat, dt.datetime.fromisoformat),
    "date": (dt.date, dt.date.isoformat, dt.date.fromisoformat),
    "decimal": (decimal.Decimal, str, decimal.Decimal),
    "uuid": (uuid.UUID, str, uuid.UUID),
    "bytes": (bytes, bytes.hex, bytes.fromhex),
}


@dataclass(frozen=True, slots=True)
class PageReading(DerivedOperation):
    """Reads one page of an operation, and one row more to see whether there is another."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page.

    Attributes:
        rows: its rows.
        after: what to ask for the next page with; None: this was the last.
    """

    rows: Rows
    after: str | None

    @property
    def has_more(self) -> bool:
        """Return whether there was more when the page was read."""
        return self.after is not None


def columns_of(operation: Operation) -> list[tuple[str, bool]]:
    """Return the columns of an operation's order, and whether each descends.

    Raises:
        StatementError: it declares none, or a direction that is neither `asc` nor `desc`.
    """
    if not operation.order:
        message = "The operation declares no order. Declare the columns that its pages go by."
        raise StatementError(message, where=operation.name)
    found = []
    for part in operation.order:
        name, _, direction = part.strip().partition(" ")
        if direction.strip().lower() not in {"", "asc", "desc"}:
            message = f"{part!r} is no order. Write a column, and `desc` after it to descend."
            raise StatementError(message, where=operation.name)
        found.append((name, direction.strip().lower() == "desc"))
    return found


def paged(operation: Operation, dialect: str, *, size: int, continued: bool) -> Operation:
    """Return the operation that reads one page and one row more; made once, then remembered."""
    key = (id(operation), dialect, size, continued)
    known = _known.get(key)
    if known is None:
        if len(_known) >= KNOWN_MAX:
            _known.clear()
        made = _paged(operation, dialect, size=size, continued=continued)
        known = _known[key] = (operation, made)  # holding it keeps its id its own
    return known[1]


def _paged(operation: Operation, dialect: str, *, size: int, continued: bool) -> Operation:
    columns = columns_of(operation)
    order = ", ".join(column_of("page", name) + (" DESC" if down else "") for name, down in columns)
    where = f" WHERE {_after(columns)}" if continued else ""
    sql = f"SELECT * FROM {subquery(operation, dialect)} AS page{where} "
    keys = tuple(f"{KEY}{i}" for i in range(len(columns))) if continued else ()
    return PageReading(
        operation.name,
        sql + f"ORDER BY {order} LIMIT {size + 1}",
        parameters=operation.parameters + keys,
        tables=operation.tables,
        scope=operation.scope,  # its `limit` is not filled in: it would end the pages
        since=operation.since,
        expected_ms=operation.expected_ms,
        private=(*operation.private, *keys) if operation.private else (),  # what it is found by
    )


def _after(columns: Sequence[tuple[str, bool]]) -> str:
    """Return the condition for rows after the keys, in a form that an index can begin at."""
    names = [column_of("page", name) for name, _ in columns]
    marks = [f":{KEY}{i}" for i in range(len(columns))]
    downs = {down for _, down in columns}
    if len(downs) == 1:
        sign = "<" if downs == {True} else ">"
        return f"({', '.join(names)}) {sign} ({', '.join(marks)})"
    condition = ""
    for (_, down), name, mark in reversed(list(zip(columns, names, marks, strict=True))):
        beyond = f"{name} {'<' if down else '>'} {mark}"
        condition = f"({beyond} OR ({name} = {mark} AND {condition}))" if condition else beyond
    edge = f"{names[0]} {'<=' if columns[0][1] else '>='} {marks[0]}"
    return f"{edge} AND {condition}"


def cut(operation: Operation, rows: Rows, *, size: int) -> Page:
    """Return the page of rows that were read, one more than its size if there are more.

    Raises:
        StatementError: a column of the order is not returned, or is NULL in the last row.
    """
    if len(rows.rows) <= size:
        return Page(rows, None)
    kept = list(rows.rows[:size])
    values = []
    for name, _ in columns_of(operation):
        try:
            value = kept[-1][rows.columns.index(name)]
        except ValueError:
            message = f"The statement returns no column {name!r} that its order names."
            raise StatementError(message, where=operation.name) from None
        if value is None:
            message = f"The column {name!r} of the order is NULL. Order by columns that never are."
            raise StatementError(message, where=operation.name)
        values.append(value)
    return Page(Rows(rows.columns, kept), _token(operation, values))


def keys_of(operation: Operation, token: str) -> dict[str, object]:
    """Return the parameters that a token stands for.

    Raises:
        PageTokenError: it is none of this operation's.
    """
    try:
        if len(token) > TOKEN_CHARACTERS_MAX:
            raise ValueError(token[:40])  # noqa: TRY301
        mark, values = msgspec.json.decode(
            base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)), type=tuple[str, list[object]]
        )
        if mark != _mark(operation) or len(values) != len(operation.order):
            raise ValueError(mark)  # noqa: TRY301
        return {f"{KEY}{i}": _plain(value) for i, value in enumerate(values)}
    except (ValueError, TypeError, KeyError, ArithmeticError, msgspec.MsgspecError):
        raise PageTokenError(where=operation.name) from None


def _token(operation: Operation, values: Sequence[object]) -> str:
    body = msgspec.json.encode([_mark(operation), [_written(value) for value in values]])
    return base64.urlsafe_b64encode(body).decode().rstrip("=")


def _mark(operation: Operation) -> str:
    """Return what tells an operation's tokens from those of others and of other orders."""
    text = "\0".join([operation.name, *operation.order])
    return hashlib.sha256(text.encode()).hexdigest()[: 2 * MARK_BYTES]


def _written(value: object) -> object:
    if isinstance(value, str | int | float):
        return value
    for name, (kind, write, _) in TYPES.items():
        if type(value) is kind:
            return [name, write(value)]  # type: ignore[operator]
    raise StatementError(f"A page cannot be ordered by a {type(value).__name__}.")


def _plain(value: object) -> object:
    if isinstance(value, str | int | float):
        return value
    if not isinstance(value, list):
        raise TypeError(value)
    name, text = value
    return TYPES[name][2](text)  # type: ignore[operator]
