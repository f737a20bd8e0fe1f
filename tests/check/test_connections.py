"""A limit of connections is told of by its name, with what counts against it and nothing else."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from homeostat.driver import postgres
from homeostat.driver.postgres import PostgresWire
from homeostat.errors import DatabaseError
from tests.check import planting
from tests.servers import PostgresServer

pytestmark = pytest.mark.every_postgres


def alive(wire: PostgresWire) -> bool:
    try:
        return wire.execute("SELECT true").scalar() is True
    except DatabaseError:
        return False


@pytest.mark.parametrize(
    ("scope", "looks"), [("database", "small"), ("role", "small"), ("role", "another")]
)
def test_the_mend_ends_only_what_counts_against_the_limit(
    pg_server: PostgresServer, scope: str, looks: str
) -> None:
    """Also where the role that looks is not the one that the application uses up."""
    name = pg_server.create_database()
    for role in ("small", "another"):
        pg_server.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{role}' IN ROLE pg_monitor")
    limited = name if scope == "database" else "small"
    pg_server.execute(f"ALTER {scope} {limited} CONNECTION LIMIT 5")
    url = pg_server.url(name, user="small", password="small")
    count = 3 if looks == "small" else 4
    with ExitStack() as stack:
        inside = [postgres.connect(url) for _ in range(count)]
        elsewhere = [postgres.connect(pg_server.url()) for _ in range(6)]
        for wire in (*inside, *elsewhere):
            stack.callback(wire.close)
        begun = elsewhere[:5]
        for wire in begun:
            wire.execute("BEGIN")
        report = planting.looked(pg_server.url(name, user=looks, password=looks))
        [found] = [one for one in report.findings if one.rule == "connections"]
        assert found.where == f"{scope} {limited}"
        assert found.what.endswith(f"of 5 connections of {scope} {limited} are taken")
        assert found.evidence["idle"] == count, "not those in a transaction elsewhere, nor its own"
        at_once = found.mend_sql.replace("now() - interval '10 minutes'", "now()")
        pg_server.execute(at_once)
        assert not any(alive(wire) for wire in inside)
        assert all(alive(wire) for wire in elsewhere)
    pg_server.drop_database(name)
    pg_server.execute("DROP ROLE small, another")
