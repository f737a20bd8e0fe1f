"""Rows with what belongs to them: one statement for each relation, never one for each row.

The keys of the rows that were read go along as one list, in batches of `batch_size`. Which
statements are needed is said here; who runs them, and how many at a time, is the caller's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass

from homeostat.access.operation import DerivedOperation, Operation
from homeostat.access.relation import Relation
from homeostat.access.settings import ExecutionSettings
from homeostat.access.subquery import SINCE, column_of, listed, since_condition
from homeostat.driver.tokens import quoted
from homeostat.driver.wire import Params, Rows
from homeostat.errors import StatementError

Record = dict[str, object]
Ask = tuple[Operation, Params]
Loading = Generator[list[Ask], list[Rows], None]
"""Yields statements that do not depend on each other, and is sent their rows in the same order."""


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


def loading(
    records: list[Record],
    wishes: Sequence[Wanted],
    settings: ExecutionSettings,
    *,
    name: str,
    private: bool,
    dialect: str,
) -> Loading:
    """Put the related rows into the records, each under the relation's name, as a list.

    Args:
        records: rows by column name; changed in place.
        wishes: what to load.
        settings: `batch_size` keys go into one statement; `horizon_seconds` bounds what has a time.
        name: of the operation; the statements of a relation are called `name.relation`.
        private: whether the operation declares private parameters: then the keys are, too, since
            what it is found by may be what they hold.
        dialect: of the database.

    Raises:
        StatementError: the rows lack a column that a relation goes by.
    """
    if not wishes:
        return
    asks: list[Ask] = []
    parts = []
    for wish in wishes:
        own = _asks(records, wish.relation, settings, name=name, private=private, dialect=dialect)
        parts.append(slice(len(asks), len(asks) + len(own)))
        asks += own
    answers = yield asks
    for wish, part in zip(wishes, parts, strict=True):
        relation = wish.relation
        related = [record for rows in answers[part] for record in rows.dicts()]
        below = f"{name}.{relation.name}"
        yield from loading(
            related, wish.below, settings, name=below, private=private, dialect=dialect
        )
        by_key: dict[object, list[Record]] = {}
        for one in related:
            by_key.setdefault(one[relation.remote], []).append(one)
        for record in records:
            record[relation.name] = by_key.get(record[relation.local], [])


def answer(loading: Loading, ask_all: Callable[[list[Ask]], list[Rows]]) -> None:
    """Run what is to be loaded to its end; `ask_all` runs statements, in whatever order."""
    try:
        asks = next(loading)
        while True:
            asks = loading.send(ask_all(asks))
    except StopIteration:
        return


def _asks(
    records: list[Record],
    relation: Relation,
    settings: ExecutionSettings,
    *,
    name: str,
    private: bool,
    dialect: str,
) -> list[Ask]:
    """Return the statements that read what belongs to the records."""
    where = f"{name}.{relation.name}"
    if records and relation.local not in records[0]:
        message = f"The rows have no column {relation.local!r}, which the relation needs."
        raise StatementError(message, where=where)
    found = dict.fromkeys(one[relation.local] for one in records)
    keys = [key for key in found if key is not None]
    bounded = settings.horizon_seconds is not None and relation.time is not None
    operation = _operation(relation, where, dialect, bounded=bounded, private=private)
    chunks = [
        keys[at : at + settings.batch_size] for at in range(0, len(keys), settings.batch_size)
    ]
    sqlite = dialect == "sqlite"
    return [(operation, {"keys": json.dumps(one) if sqlite else one}) for one in chunks]


def _operation(
    relation: Relation, name: str, dialect: str, *, bounded: bool, private: bool
) -> Operation:
    columns = "*"
    if relation.columns:
        wished = dict.fromkeys((relation.remote, *relation.columns))
        columns = listed(relation.table, wished)
    among = "= ANY(:keys)"
    if dialect == "sqlite":
        among = "IN (SELECT value FROM json_each(:keys))"
    remote = column_of(relation.table, relation.remote)
    recent = ""
    if bounded and relation.time is not None:
        bound = since_condition(relation.table, relation.time, relation.time_unit, dialect)
        recent = f" AND {bound}"
    order = "".join(f", {part}" for part in relation.order)
    return DerivedOperation(
        name,
        f"SELECT {columns} FROM {quoted(relation.table)} WHERE {remote} {among}{recent} "
        f"ORDER BY {remote}{order}",
        parameters=("keys", SINCE) if bounded else ("keys",),
        tables=(relation.table,),
        private=("keys",) if private else (),
        since=SINCE if bounded else None,
    )
