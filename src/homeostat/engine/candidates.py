"""Which indexes could serve a statement: from what it asks, less what existing indexes serve.

Equality first, then one range or the order, at most `COLUMNS_MAX` columns: an index is read along
its leading equalities and then in order (SQLite: "The Query Optimizer Overview", 2; PostgreSQL
documentation, 11.3). A candidate is an idea: only the rehearsal says whether it is a good one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from homeostat.engine.facets import IndexInfo, IndexSpec, TableInfo
from homeostat.engine.predicates import Asked

COLUMNS_MAX = 3
NAME_CHARACTERS_MAX = 55  # PostgreSQL cuts names at 63, and a rebuild appends to them
PREFIX = "homeostat_"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An index that may help.

    Attributes:
        spec: what would be built.
        why: what of the statement it serves, in words.
        conditions: predicates with values that it would look up; empty: it serves a join.
    """

    spec: IndexSpec
    why: str
    conditions: tuple[str, ...]


def candidates(
    asks: Iterable[Asked], tables: Sequence[TableInfo], indexes: Sequence[IndexInfo]
) -> list[Candidate]:
    """Return the candidates for a statement, the most promising of each table first."""
    found: dict[str, Candidate] = {}
    known = {table.name: table for table in tables}
    for one in asks:
        table = known.get(one.table)
        if table is None:
            continue
        there = [index for index in indexes if index.table == one.table and index.valid]
        for columns, where, why in _shapes(one, table):
            if columns and not _served(columns, one, there):
                spec = IndexSpec(one.table, columns, name_of(one.table, columns, where), one.schema)
                if where:
                    spec = IndexSpec(one.table, columns, spec.name, one.schema, where)
                found.setdefault(spec.name, Candidate(spec, why, tuple(one.conditions)))
    return list(found.values())


def name_of(table: str, columns: Sequence[str], where: str | None) -> str:
    """Return the name of an index of ours; the same for the same definition."""
    digest = hashlib.sha256(repr((table, tuple(columns), where)).encode()).hexdigest()[:6]
    readable = f"{PREFIX}{table}_{'_'.join(columns)}"
    plain = "".join(c if c.isascii() and c.isalnum() else "_" for c in readable.lower())
    return f"{plain[: NAME_CHARACTERS_MAX - 7]}_{digest}"


def _shapes(one: Asked, table: TableInfo) -> Iterable[tuple[tuple[str, ...], str | None, str]]:
    equal = _by_selectivity(_unique(one.equal), table)
    joined = [name for name in _unique(one.joined) if name not in equal]
    ranged = [name for name in _unique(one.ranged) if name not in equal]
    order = [name for name in _unique(one.order) if name not in equal]
    fixed = [name for name in one.fixed if name not in ranged]
    free = [name for name in equal if name not in fixed]
    leading = equal or joined
    words = f"{', '.join(leading)} =" if leading else ""
    if ranged:
        yield _cut([*leading, ranged[0]]), None, f"{words} and {ranged[0]} in a range".strip()
    if order and one.limited:
        yield _cut([*leading, *order]), None, f"{words} in order of {', '.join(order)}".strip()
    if fixed and (free or ranged or joined):
        where = " AND ".join(one.fixed[name] for name in fixed)
        rest = _cut([*(free or joined), *ranged[:1]])
        yield rest, where, f"{', '.join(rest)} where {where}"
    elif fixed and order and one.limited:
        where = " AND ".join(one.fixed[name] for name in fixed)
        yield _cut(order), where, f"in order of {', '.join(order)} where {where}"
    if equal:
        yield _cut(equal), None, f"{', '.join(equal)} ="
    for name in joined[:2]:
        yield (name,), None, f"join by {name}"


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


def _served(columns: Sequence[str], one: Asked, indexes: Sequence[IndexInfo]) -> bool:
    """Return whether an index that is there begins like this: equalities in whatever order."""
    equal = set(one.equal) | set(one.joined)
    leading = [name for name in columns if name in equal]
    rest = [name for name in columns if name not in equal]
    for index in indexes:
        if index.where is not None and index.where not in one.fixed.values():
            continue
        begin = list(index.columns[: len(columns)])
        if set(begin[: len(leading)]) == set(leading) and begin[len(leading) :] == rest:
            return True
    return False
