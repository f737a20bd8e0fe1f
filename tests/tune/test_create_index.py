"""A missing index is found, proven on a clone, built, measured, and kept or undone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from homeostat.cli.explain import explained_lines
from homeostat.cli.text import Screen
from homeostat.config import Config
from homeostat.operate.views import Explained
from tests.servers import PostgresServer
from tests.tune.application import open_wire
from tests.tune.shop import ADD_ORDER, CONFIG, ORDERS_OF, fill, shop, with_clones_on

PLAYS = 3  # a busy machine may blur the batches, which are short here
ENDS = ("kept", "reverted", "ineffective", "refused", "failed")


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest) -> tuple[str, Config]:
    """Return the URL of a shop, and the configuration to watch it with."""
    if request.param == "sqlite":
        url = str(request.getfixturevalue("sqlite_path"))
        config = CONFIG
    else:
        server: PostgresServer = request.getfixturevalue("pg_server")
        url = request.getfixturevalue("pg_database")
        config = with_clones_on(CONFIG, server)
    wire = open_wire(url)
    fill(wire)
    wire.close()
    return url, config


def check_explained(found: Explained, statement: str) -> None:
    """What `homeostat explain` and the API tell has the plan, and no value of any call."""
    assert (found.statement, found.name) == (statement, "orders_of")
    assert found.plan is not None
    lines = explained_lines(found, Screen(width=None, colours=False, now=0.0))
    assert any("customer_id" in line for line in lines if "index would find" in line)
    assert any("orders" in line for line in lines if "rows" in line)
    assert any("finding" in line for line in lines)


@pytest.mark.slow
def test_a_missing_index_is_built_and_kept(place: tuple[str, Config], tmp_path: Path) -> None:
    url, config = place
    for number in range(PLAYS):
        with shop(tmp_path / f"data{number}", url, [ORDERS_OF, ADD_ORDER], config) as one:
            finding = one.finding()
            assert finding.cause.startswith("missing index"), finding
            assert "customer_id" in finding.cause
            check_explained(one.console.explain(str(finding.id)), finding.name)
            record = one.remedy("create-index", *ENDS)
            told = one.console.explain("orders_of")
            assert told.statement == finding.name
            assert [r.key for r in told.remedies] == ["create-index"]
            built = {record.parameters["index"]["name"]}
            assert one.indexes() == (built if record.state == "kept" else set())
            assert one.clones() == 0
        if record.state == "kept":
            break
    assert record.state == "kept", record.verdict
    read = re.search(r"rows read a call ([\d,]+) -> ([\d.]+)", record.verdict)
    assert read is not None, record.verdict
    assert float(read[1].replace(",", "")) >= 60_000  # all orders, of which a customer has thirty
    assert float(read[2]) < 60
