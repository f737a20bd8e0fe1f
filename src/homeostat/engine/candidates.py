"""Which indexes could serve a statement: from what it asks, less what existing indexes serve.

Equality first, then one range or the order, at most `COLUMNS_MAX` columns: an index is read along
its leading equalities and then in order (SQLite: "The Query Optimizer Overview", 2; PostgreSQL
documentation, 11.3). A candidate is an idea: only the rehearsal says whether it is a good one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from homeostat.engine.facets import IndexInfo, IndexSpec, TableInfo
from homeostat.engine.maintain import plain_expression
from homeostat.engine.sources import Asked, Condition

COLUMNS_MAX = 3
RANGES_MAX = 2
NAME_CHARACTERS_MAX = 55  # PostgreSQL cuts names at 63, and a rebuild appends to them
PREFIX = "homeostat_"


PATTERNS = {"sqlite": "COLLATE NOCASE", "postgresql": "text_pattern_ops"}


@dataclass(frozen=True, slots=True)
class Candidate:
    """An index that may help.

    Attributes:
        spec: what would be built.
        why: what of the statement it serves, in words.
        asked: the occurrence of the table that it would serve.
        conditions: those value predicates of it that the index would look up.
        ordered: whether it gives the first rows of an order without reading the others.
        fresh: whether no index begins with a column that this one has: nothing serves in its stead.
        beside: columns of the other sides of an OR that no index serves either: each needs one, or
            the whole is read as before.
    """

    spec: IndexSpec
    why: str
    asked: Asked
    conditions: tuple[Condition, ...]
    ordered: bool
    fresh: bool
    beside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Shape:
    """Columns of an index with what they are for; `ordering` is of the last."""

    columns: tuple[str, ...]
    why: str
    where: str | None = None
    ordering: str = ""
    ordered: bool = False


def candidates(
    asks: Iterable[Asked],
    tables: Sequence[TableInfo],
    indexes: Sequence[IndexInfo],
    *,
    dialect: str = "postgresql",
) -> list[Candidate]:
    """Return the candidates for a statement, the most promising of each table first."""
    found: dict[str, Candidate] = {}
    known = {(table.schema, table.name): table for table in tables}
    for one in asks:
        table = known.get((one.schema, one.table))
        if table is None:
            continue
        there = [
            index
            for index in indexes
            if (index.schema, index.table) == (one.schema, one.table) and index.valid
        ]
        lacking = _lacking(one.either, table, there)
        for part in (one, *one.either):
            beside = tuple(name for name in lacking if part is not one and name != _first(part))
            for shape in _without_rowid(_shapes(part, table, dialect), table):
                if shape.columns and not _served(shape, part, there):
                    made = replace(_candidate(shape, one, part, there), beside=beside)
                    found.setdefault(made.spec.name, made)
    return list(found.values())


def _lacking(sides: Sequence[Asked], table: TableInfo, there: Sequence[IndexInfo]) -> list[str]:
    """Return the columns by which the sides of an OR are found, of those that no index serves."""
    begins = {plain_expression(index.columns[0]) for index in there if index.where is None}
    begins |= {plain_expression(column.name) for column in table.columns if column.is_rowid}
    return _unique(_first(one) for one in sides if plain_expression(_first(one)) not in begins)


def _first(one: Asked) -> str:
    return next(iter([*one.equal, *one.ranged, *one.prefixed]), "")


def _candidate(shape: _Shape, one: Asked, part: Asked, there: Sequence[IndexInfo]) -> Candidate:
    spec = IndexSpec(
        one.table,
        shape.columns,
        name_of(one.table, (*shape.columns, *shape.ordering.split()), shape.where),
        one.schema,
        shape.where,
        expressions=tuple(name for name in shape.columns if name in part.expressions),
        ordering=shape.ordering,
    )
    looked_up = tuple(
        condition
        for condition in one.conditions
        if condition.column in shape.columns
        or (part is not one and not condition.column)
        or (shape.where is not None and part.fixed.get(condition.column) == condition.sql)
    )
    fresh = all(not set(index.columns[:1]) & set(shape.columns) for index in there)
    return Candidate(spec, shape.why, one, looked_up, shape.ordered, fresh)


def name_of(table: str, columns: Sequence[str], where: str | None) -> str:
    """Return the name of an index of ours; the same for the same definition."""
    digest = hashlib.sha256(repr((table, tuple(columns), where)).encode()).hexdigest()[:6]
    readable = f"{PREFIX}{table}_{'_'.join(columns)}"
    plain = "".join(c if c.isascii() and c.isalnum() else "_" for c in readable.lower())
    return f"{plain[: NAME_CHARACTERS_MAX - 7]}_{digest}"


def _shapes(one: Asked, table: TableInfo, dialect: str) -> Iterable[_Shape]:
    equal = _by_selectivity(_unique(one.equal), table)
    joined = [name for name in _unique(one.joined) if name not in equal]
    ranged = [name for name in _unique(one.ranged) if name not in equal]
    order = [name for name in _unique(one.order) if name not in equal]
    leading = equal or joined
    words = f"{', '.join(leading)} =" if leading else ""
    for name in ranged[:RANGES_MAX]:
        why = f"{words} and {name} in a range".removeprefix(" and ")
        yield _Shape(_cut([*leading, name]), why)
    for name in _unique(one.prefixed)[:1]:
        why = f"{words} and the beginning of {name}".removeprefix(" and ")
        yield _Shape(_cut([*leading, name]), why, ordering=PATTERNS[dialect])
    if order and one.limited:
        columns = _cut([*leading, *order])
        ordered = set(equal) | set(order) <= set(columns) and not ranged
        why = f"{words} in order of {', '.join(order)}".strip()
        yield _Shape(columns, why, ordered=ordered)
    yield from _partial(one, equal, joined, ranged, order)
    if equal:
        yield _Shape(_cut(equal), f"{', '.join(equal)} =")
    for name in joined[:2]:
        yield _Shape((name,), f"join by {name}")


def _without_rowid(shapes: Iterable[_Shape], table: TableInfo) -> Iterable[_Shape]:
    """Leave out what the table's own order serves; an index of SQLite ends in the rowid anyway."""
    keys = {column.name for column in table.columns if column.is_rowid}
    for shape in shapes:
        columns = shape.columns
        if columns and columns[-1] in keys:
            columns = columns[:-1]
        if not keys & set(columns):
            yield replace(shape, columns=columns)


def _partial(
    one: Asked, equal: list[str], joined: list[str], ranged: list[str], order: list[str]
) -> Iterable[_Shape]:
    """Yield indexes of those rows alone for which conditions without parameters hold."""
    fixed = [name for name in one.fixed if name not in ranged]
    free = [name for name in equal if name not in fixed]
    where = " AND ".join(one.fixed[name] for name in fixed)
    if fixed and (free or ranged or joined):
        rest = _cut([*(free or joined), *ranged[:1]])
        yield _Shape(rest, f"{', '.join(rest)} where {where}", where)
    elif fixed and order and one.limited:
        columns = _cut(order)
        why = f"in order of {', '.join(order)} where {where}"
        yield _Shape(columns, why, where, ordered=columns == tuple(order))


def _cut(columns: Sequence[str]) -> tuple[str, ...]:
    return tuple(_unique(columns))[:COLUMNS_MAX]


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _by_selectivity(names: list[str], table: TableInfo) -> list[str]:
    """Return columns with many values first, where statistics say; else as in the text."""
    distinct = {column.name: column.distinct for column in table.columns}
    rows = table.rows if isinstance(table.rows, float) else 0.0

    def many(name: str) -> float:
        value = distinct.get(name)
        if value is None:
            return 0.0
        return -value * rows if value < 0 else value

    return sorted(names, key=lambda name: -many(name))


def _served(shape: _Shape, one: Asked, indexes: Sequence[IndexInfo]) -> bool:
    """Return whether an index that is there begins like this: equalities in whatever order."""
    equal = set(one.equal) | set(one.joined)
    leading = [plain_expression(name) for name in shape.columns if name in equal]
    rest = [plain_expression(name) for name in shape.columns if name not in equal]
    for index in indexes:
        if index.where is not None and index.where not in one.fixed.values():
            continue
        if shape.ordering.lower() not in index.definition.lower():
            continue
        begin = [plain_expression(name) for name in index.columns[: len(shape.columns)]]
        if set(begin[: len(leading)]) == set(leading) and begin[len(leading) :] == rest:
            return True
    return False
