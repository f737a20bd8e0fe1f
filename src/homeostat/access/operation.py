"""What an application does to its database: named Operations, declared once.

An Operation is data. It holds one SQL statement (one for both engines, or one for each dialect)
with `:name` parameters, and says what the executor, the statistics and the write hooks need.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from homeostat.access.relation import Relation
from homeostat.driver.tokens import NAME, OTHER, tokens
from homeostat.errors import StatementError

DIALECTS = ("sqlite", "postgresql")
TimeUnit = Literal["timestamp", "seconds", "milliseconds"]
TRANSACTION_WORDS = {"begin", "start", "commit", "end", "rollback", "savepoint", "release"}


@dataclass(frozen=True, slots=True)
class Operation:
    """One named statement.

    Attributes:
        name: what statistics, findings and time-outs call it, e.g. `user.profile`.
        sql: the statement, or the statement by dialect (`sqlite`, `postgresql`).
        parameters: the names that a call gives, no more and no fewer.
        write: whether it changes data; write hooks run after it, in the same transaction.
        tables: the tables it changes or reads; a write hook can ask for some tables only.
        scope: the column that says what syncs together. The parameter of the same name carries
            the value; it is checked against the caller's scopes and given to write hooks.
        idempotent: whether a write may run twice with the effect of once, so that it is tried
            again when the connection was lost. A read always may.
        limit: the parameter that bounds the rows of a page; filled in from
            `ExecutionSettings.page_size` when the call leaves it out.
        since: the parameter that bounds how far back the rows go, in seconds since 1970 UTC; filled
            in from `ExecutionSettings.horizon_seconds` when the call leaves it out.
        columns: the columns that its rows have, so that `ExecutionSettings.projection` can leave
            some out; empty: none can be.
        time: the column of its rows that tells when, so that `ExecutionSettings.horizon_seconds`
            bounds how far back they go. Index it. A statement that ends in a LIMIT takes `since`
            instead: its rows would be bounded after the LIMIT, which leaves too few.
        time_unit: what the time column holds: `timestamp` (PostgreSQL's types; on SQLite the text
            that its `datetime` writes, in UTC), or a number of `seconds` or `milliseconds` since
            1970 UTC.
        expected_ms: what the application expects it to take; slower calls are counted as late.
        order: the columns that pages go by, each with `desc` if it descends, e.g.
            `("created desc", "id")`; NOT NULL, together unique. See `Database.page`.
        relations: what belongs to its rows. See `Database.load`.
        private: parameters whose values never leave the process in samples.
    """

    name: str
    sql: str | Mapping[str, str]
    parameters: tuple[str, ...] = ()
    write: bool = False
    tables: tuple[str, ...] = ()
    scope: str | None = None
    idempotent: bool = False
    limit: str | None = None
    since: str | None = None
    expected_ms: float | None = None
    private: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    relations: tuple[Relation, ...] = ()
    columns: tuple[str, ...] = ()
    time: str | None = None
    time_unit: TimeUnit = "timestamp"
    names: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse a declaration that cannot work.

        Raises:
            StatementError: an unknown dialect, a statement that begins or ends a transaction, a
                parameter that a statement does not use, a scope, limit, since or private
                parameter that is none, a time column that is not among the columns or that of a
                statement with a LIMIT, or an unknown unit.
        """
        object.__setattr__(self, "names", frozenset(self.parameters))
        texts = {"sql": self.sql} if isinstance(self.sql, str) else dict(self.sql)
        if not isinstance(self.sql, str) and not set(texts) <= set(DIALECTS):
            raise StatementError(
                f"Write the SQL for {' or '.join(DIALECTS)}, not for {', '.join(texts)}.",
                where=self.name,
            )
        for text in texts.values():
            first = re.match(r"(?:\s|--[^\n]*\n|/\*.*?\*/)*(\w+)", text, re.DOTALL)
            if first is not None and first[1].lower() in TRANSACTION_WORDS:
                raise StatementError(
                    "An operation is one statement. Use Database.transaction for transactions.",
                    where=self.name,
                )
            used = set(re.findall(r"(?<![:\w]):(\w+)", text))
            unused = sorted(set(self.parameters) - used)
            if self.time is not None and self.since is None and _ends_early(text):
                message = (
                    "The statement has a LIMIT, so rows bounded by `time` after it would be too "
                    "few. Declare a `since` parameter instead, and compare with it in the "
                    "statement."
                )
                raise StatementError(message, where=self.name)
            if unused:
                raise StatementError(
                    f"The statement has no :{unused[0]}. Use it, or leave it out of parameters.",
                    where=self.name,
                )
        for role in (self.scope, self.limit, self.since, *self.private):
            if role is not None and role not in self.parameters:
                raise StatementError(
                    f"{role} is not among the parameters. Add it, or correct the name.",
                    where=self.name,
                )

        if self.columns and self.time is not None and self.time not in self.columns:
            message = f"The time column {self.time!r} is not among the columns. Add it there."
            raise StatementError(message, where=self.name)
        if self.time_unit not in get_args(TimeUnit):
            message = f"time_unit is one of {', '.join(get_args(TimeUnit))}."
            raise StatementError(message, where=self.name)

    def sql_for(self, dialect: str) -> str:
        """Return the statement for one engine.

        Raises:
            StatementError: the operation has no statement for it.
        """
        if isinstance(self.sql, str):
            return self.sql
        try:
            return self.sql[dialect]
        except KeyError:
            raise StatementError(
                f"The operation has no SQL for {dialect}. Declare it there too.", where=self.name
            ) from None


def _ends_early(sql: str) -> bool:
    """Return whether a statement itself, not one inside it, returns but some of its rows."""
    depth = 0
    for kind, text in tokens(sql):
        if kind == NAME and not depth and text.lower() in {"limit", "fetch"}:
            return True
        depth += {"(": 1, ")": -1}.get(text, 0) if kind == OTHER else 0
    return False


@dataclass(frozen=True, slots=True)
class DerivedOperation(Operation):
    """Made by the data path from an operation that the application declared, under its name."""
