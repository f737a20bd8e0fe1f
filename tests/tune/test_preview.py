"""In observe mode an index is tried on a copy, told with its numbers, and never built."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from homeostat.cli.report import report_lines
from homeostat.cli.text import Screen
from homeostat.config import Config
from homeostat.operate.insights import ProposedRow, Tried
from tests.servers import PostgresServer, wait_until
from tests.tune.application import open_wire
from tests.tune.shop import ADD_ORDER, CONFIG, ORDERS_OF, Shop, fill, shop, with_clones_on

SECONDS = 60.0


def observing(config: Config, **operate: object) -> Config:
    """Return the configuration with everything only observed."""
    changes = {"autonomy": "observe", **operate}
    return msgspec.structs.replace(
        config, operate=msgspec.structs.replace(config.operate, **changes)
    )


def offer(one: Shop) -> ProposedRow | None:
    """Return what the report says of the index."""
    at = one.operator.clock.now()
    found = one.console.proposals(one.one.row.key, start=at - 3600, end=at + 1)
    return next((row for row in found.proposed if row.key == "create-index"), None)


def tried(one: Shop) -> Tried:
    """Wait for the numbers of a rehearsal."""

    def numbers() -> Tried | None:
        row = offer(one)
        return row.tried if row is not None else None

    wait_until(numbers, SECONDS, f"a rehearsal; there is {offer(one)}")
    found = numbers()
    assert found is not None
    return found


def check_told(one: Shop) -> None:
    """The report says from what to what, at which price; the database itself is as it was."""
    numbers = tried(one)
    assert (numbers.ok, numbers.operation) == (True, "orders_of")
    assert numbers.before_ms is not None
    assert numbers.after_ms is not None
    assert numbers.after_ms < numbers.before_ms
    assert numbers.build_seconds
    assert numbers.index_bytes
    row = offer(one)
    assert row is not None
    assert (row.state, row.decision) == ("observed", "Approve or reject it.")
    assert row.rehearsal.startswith("it went well: on the clone")
    assert one.indexes() == set()
    wait_until(lambda: one.clones() == 0, 10, "the end of the copy")
    at = one.operator.clock.now()
    found = one.console.proposals(one.one.row.key, start=at - 3600, end=at + 1)
    said = "\n".join(
        report_lines(found, Screen(width=None, colours=False, now=at), name="shop", suffix="")
    )
    assert "on a copy    orders_of " in said
    assert "captured calls replayed" in said


@pytest.mark.slow
def test_what_an_index_would_bring_is_measured_on_a_copy_of_a_file(
    sqlite_path: Path, tmp_path: Path
) -> None:
    wire = open_wire(str(sqlite_path))
    wire.execute("PRAGMA journal_mode = WAL")
    fill(wire)
    wire.close()
    with shop(
        tmp_path / "data", str(sqlite_path), [ORDERS_OF, ADD_ORDER], observing(CONFIG)
    ) as one:
        check_told(one)


@pytest.mark.slow
def test_what_an_index_would_bring_is_measured_on_the_server_for_clones(
    pg_server: PostgresServer, pg_database: str, tmp_path: Path
) -> None:
    wire = open_wire(pg_database)
    fill(wire)
    wire.close()
    config = observing(with_clones_on(CONFIG, pg_server))
    with shop(tmp_path / "data", pg_database, [ORDERS_OF, ADD_ORDER], config) as one:
        check_told(one)
