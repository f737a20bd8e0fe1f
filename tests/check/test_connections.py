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


@pytest.mark.parametrize("scope", ["database", "role"])
def test_the_mend_ends_only_what_counts_against_the_limit(
    pg_server: PostgresServer, scope: str
) -> None:
    name = pg_server.create_database()
    pg_server.execute("CREATE ROLE small LOGIN PASSWORD 'small' IN ROLE pg_monitor")
    limited = name if scope == "database" else "small"
    pg_server.execute(f"ALTER {scope} {limited} CONNECTION LIMIT 5")
    url = pg_server.url(name, user="small", password="small")
    with ExitStack() as stack:
        inside = [postgres.connect(url) for _ in range(3)]
        elsewhere = [postgres.connect(pg_server.url()) for _ in range(6)]
        for wire in (*inside, *elsewhere):
            stack.callback(wire.close)
        begun = elsewhere[:5]
        for wire in begun:
            wire.execute("BEGIN")
        [found] = [one for one in planting.looked(url).findings if one.rule == "connections"]
        assert found.where == f"{scope} {limited}"
        assert found.what.endswith(f"of 5 connections of {scope} {limited} are taken")
        assert found.evidence["idle"] == 3, "not those in a transaction elsewhere, nor its own"
        at_once = found.mend_sql.replace("now() - interval '10 minutes'", "now()")
        pg_server.execute(at_once)
        assert not any(alive(wire) for wire in inside)
        assert all(alive(wire) for wire in elsewhere)
    pg_server.drop_database(name)
    pg_server.execute("DROP ROLE small")
