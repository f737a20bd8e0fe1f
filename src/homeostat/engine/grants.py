"""The least rights that a role of PostgreSQL needs: to observe, or to act too; grants nothing.

Each right is one statement with its reason; a right that the role has already is left out. Where no
superuser can be had (a managed service), what only a superuser may grant is left out, and notes
say who runs the rest. The role never becomes a superuser, and it gets no CONNECTION LIMIT, since
PostgreSQL would then tell that limit as the server's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

from homeostat.driver.tokens import quoted
from homeostat.driver.wire import Rows
from homeostat.engine.statements import statement

Purpose = Literal["monitor", "act"]
Managed = Literal["none", "rds", "cloudsql", "azure"]

PURPOSES: tuple[str, ...] = get_args(Purpose)
SERVICES: tuple[str, ...] = get_args(Managed)
SET_OPTION_VERSION = 16  # GRANT ... WITH INHERIT, SET

_WHO: dict[str, str] = {
    "none": "Run it as a superuser, in the database itself.",
    "rds": "Run it in the database itself, as the master user (a member of rds_superuser).",
    "cloudsql": "Run it in the database itself, as postgres (a member of cloudsqlsuperuser).",
    "azure": "Run it in the database itself, as the server's admin (a member of azure_pg_admin).",
}
_LIBRARY: dict[str, str] = {
    "none": "pg_stat_statements works once shared_preload_libraries names it (then a restart).",
    "rds": "pg_stat_statements works while the parameter group's shared_preload_libraries names "
    "it, as the default one does.",
    "cloudsql": "Cloud SQL loads pg_stat_statements by itself.",
    "azure": "First add PG_STAT_STATEMENTS to the server parameter azure.extensions.",
}


@dataclass(frozen=True, slots=True)
class Grant:
    """One statement, why it is needed, and whether the purpose can do without it.

    `where`: `database`, or `clone server` for the server that `[clone] url` names.
    """

    sql: str
    why: str
    optional: bool = False
    where: str = "database"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a role stands in a database; the defaults are those of a role that is not there yet.

    Attributes:
        database: its name; empty: not known.
        owners: who owns tables and does not count the role as a member.
        closed_schemas: schemas where the owners of tables may not create an index themselves.
        version: the server's major version; None: not known.
        managed: whose service it is.
        exists, superuser, monitors, connects, reads, signals, sees_hba: of the role.
        statements_schema: where pg_stat_statements is; None: it is not.
        statements_open: whether the role may look into that schema.
    """

    database: str
    owners: tuple[str, ...] = ()
    closed_schemas: tuple[str, ...] = ()
    version: int | None = None
    managed: str = "none"
    exists: bool = False
    superuser: bool = False
    monitors: bool = False
    connects: bool = False
    reads: bool = False
    signals: bool = False
    sees_hba: bool = False
    statements_schema: str | None = None
    statements_open: bool = True


def standing(execute: Callable[..., Rows], name: str) -> Standing:
    """Return where the role called `name` stands; it need not be there.

    Args:
        execute: of an engine of PostgreSQL; one statement is read.
        name: the role.
    """
    asked = statement("postgresql", "grants")
    row: dict[str, Any] = execute(asked, {"name": name}).dicts()[0]
    return Standing(
        database=row["database_name"],
        owners=tuple(row["owners"]),
        closed_schemas=tuple(row["closed_schemas"]),
        version=row["version"],
        managed=row["managed"],
        exists=row["is_superuser"] is not None,
        superuser=bool(row["is_superuser"]),
        monitors=row["monitors"],
        connects=row["connects"],
        reads=row["reads"],
        signals=row["signals"],
        sees_hba=row["sees_hba"],
        statements_schema=row["statements_schema"],
        statements_open=row["statements_open"],
    )


def grants(purpose: str, *, name: str, standing: Standing) -> list[Grant]:
    """Return what the role still lacks for a purpose, in the order to run it.

    Args:
        purpose: `monitor`: probes and `homeostat check`; `act`: remedies and their rehearsals too.
        name: the role.
        standing: where it stands; of one that is not there yet, all is returned.
    """
    if standing.superuser:
        return []
    found = list(_monitor(name, standing))
    found += _act(name, standing) if purpose == "act" else _plans(name, standing)
    return [*(one for one in found if not one.optional), *(one for one in found if one.optional)]


def notes(purpose: str, *, standing: Standing, name: str) -> list[str]:
    """Return what no statement says: who runs them, and what the service has to be told."""
    if standing.superuser:
        more = f"{name} is a superuser, which is more than Homeostat needs."
        return [f"{more} Make a role of its own: `homeostat grants URL` prints how."]
    said = [_WHO[standing.managed]]
    if not standing.exists:
        said.append(
            f"Then give {name} a password: \\password in psql sends it encrypted, so that it is in "
            "no log."
        )
    if standing.statements_schema is None:
        said.append(_LIBRARY[standing.managed])
    if purpose == "act" and standing.managed != "none":
        said.append(
            "Membership in an owner is granted by whoever has it WITH ADMIN OPTION: from "
            "PostgreSQL 16 on, whoever created that role."
        )
    return said


def _monitor(name: str, at: Standing) -> Iterator[Grant]:
    role = quoted(name)
    if not at.exists:
        yield Grant(
            f"CREATE ROLE {role} LOGIN;", "a role of its own, so that it can be seen and taken back"
        )
    if at.database and not at.connects:
        yield Grant(f"GRANT CONNECT ON DATABASE {quoted(at.database)} TO {role};", "to come in")
    if not at.monitors:
        yield Grant(
            f"GRANT pg_monitor TO {role};",
            "sessions, waits, statements, replication and settings of everybody; no rows of tables",
        )
    if at.statements_schema is None:
        yield Grant(
            "CREATE EXTENSION IF NOT EXISTS pg_stat_statements;", "what each statement costs"
        )
    elif not at.statements_open:
        yield Grant(
            f"GRANT USAGE ON SCHEMA {quoted(at.statements_schema)} TO {role};",
            "to find pg_stat_statements",
        )
    if at.managed == "none" and not at.sees_hba:
        for sql in (
            f"GRANT SELECT ON pg_catalog.pg_hba_file_rules TO {role};",
            f"GRANT EXECUTE ON FUNCTION pg_catalog.pg_hba_file_rules() TO {role};",
        ):
            yield Grant(sql, "who may connect without a password (pg_hba.conf)", optional=True)


def _plans(name: str, at: Standing) -> Iterator[Grant]:
    """Yield what lets it ask for plans; who acts may, as a member of the owners."""
    if not at.reads:
        yield Grant(
            f"GRANT pg_read_all_data TO {quoted(name)};",
            "plans of statements, and how many values a column has; it may then read all rows",
            optional=True,
        )


def _act(name: str, at: Standing) -> Iterator[Grant]:
    role = quoted(name)
    limits = ""
    if at.version is not None and at.version >= SET_OPTION_VERSION:
        limits = " WITH INHERIT TRUE, SET FALSE"
    for owner in at.owners:
        yield Grant(
            f"GRANT {quoted(owner)} TO {role}{limits};",
            "only a table's owner may index and analyse it; it may then also read and write it",
        )
    for schema in at.closed_schemas:
        yield Grant(
            f"GRANT USAGE, CREATE ON SCHEMA {quoted(schema)} TO {role};",
            "an index is made in the schema of its table, where its owner may make none",
        )
    yield Grant(
        f"CREATE ROLE {quoted(name + '_clones')} LOGIN CREATEDB;",
        "copies to rehearse on, best on a server of their own; its URL goes into [clone] url",
        where="clone server",
    )
    if not at.signals:
        yield Grant(
            f"GRANT pg_signal_backend TO {role};",
            "to end a session of others that you told it to end",
            optional=True,
        )
