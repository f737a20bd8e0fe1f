"""Rows with what belongs to them: one statement for each relation, never one for each row.

The keys of the rows that were read go along as one list, in batches of `batch_size`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from homeostat.access.operation import Operation
from homeostat.access.relation import Relation
from homeostat.driver.tokens import quoted
from homeostat.driver.wire import Params, Rows
from homeostat.errors import StatementError

Record = dict[str, object]
Ask = Callable[[Operation, Params], Rows]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A relation to load, and those to load for its rows."""

    relation: Relation
    below: tuple[Wanted, ...]


def wanted(operation: Operation, paths: Iterable[str], *, depth_max: int) -> tuple[Wanted, ...]:
    """Return the relations that paths such as `sessions.events` name.

    Raises:
        StatementError: there is none of this name, or a path is deeper than the settings allow.
    """
    split = [tuple(path.split(".")) for path in paths]
    for path in split:
        if len(path) > depth_max:
            message = (
                f"{'.'.join(path)} is {len(path)} relations deep; the settings allow {depth_max}."
            )
            raise StatementError(message, where=operation.name)
    return _tree(operation.relations, split, where=operation.name)


def _tree(
    relations: Sequence[Relation], paths: Sequence[tuple[str, ...]], *, where: str
) -> tuple[Wanted, ...]:
    known = {one.name: one for one in relations}
    found = []
    for name in dict.fromkeys(path[0] for path in paths):
        if name not in known:
            there = ", ".join(known) or "none"
            message = f"There is no relation {name!r}. There is: {there}."
            raise StatementError(message, where=where)
        rest = [path[1:] for path in paths if path[0] == name and len(path) > 1]
        below = _tree(known[name].relations, rest, where=f"{where}.{name}") if rest else ()
        found.append(Wanted(known[name], below))
    return tuple(found)


def load(
    records: list[Record], wishes: Sequence[Wanted], *, ask: Ask, name: str, dialect: str, size: int
) -> None:
    """Put the related rows into the records, each under the relation's name, as a list.

    Args:
        records: rows by column name; changed in place.
        wishes: what to load.
        ask: runs an operation.
        name: of the operation; the statements of a relation are called `name.relation`.
        dialect: of the database.
        size: keys of one statement.
    """
    for wish in wishes:
        relation = wish.relation
        if records and relation.local not in records[0]:
            message = f"The rows have no column {relation.local!r}, which the relation needs."
            raise StatementError(message, where=f"{name}.{relation.name}")
        found = dict.fromkeys(one[relation.local] for one in records)
        keys = [key for key in found if key is not None]
        operation = _operation(relation, f"{name}.{relation.name}", dialect)
        related: list[Record] = []
        for start in range(0, len(keys), size):
            chunk = keys[start : start + size]
            value = json.dumps(chunk) if dialect == "sqlite" else chunk
            related += ask(operation, {"keys": value}).dicts()
        load(related, wish.below, ask=ask, name=operation.name, dialect=dialect, size=size)
        by_key: dict[object, list[Record]] = {}
        for one in related:
            by_key.setdefault(one[relation.remote], []).append(one)
        for record in records:
            record[relation.name] = by_key.get(record[relation.local], [])


def _operation(relation: Relation, name: str, dialect: str) -> Operation:
    columns = "*"
    if relation.columns:
        wished = dict.fromkeys((relation.remote, *relation.columns))
        columns = ", ".join(quoted(column) for column in wished)
    listed = "= ANY(:keys)"
    if dialect == "sqlite":
        listed = "IN (SELECT value FROM json_each(:keys))"
    remote = quoted(relation.remote)
    order = "".join(f", {part}" for part in relation.order)
    return Operation(
        name,
        f"SELECT {columns} FROM {quoted(relation.table)} WHERE {remote} {listed} "
        f"ORDER BY {remote}{order}",
        parameters=("keys",),
        tables=(relation.table,),
    )
