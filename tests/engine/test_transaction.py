"""The reserved connection's transactions and cancellation, on both engines."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from homeostat.driver import postgres, sqlite
from homeostat.driver.wire import Wire
from homeostat.engine import Engine, Target, open_engine
from homeostat.errors import StatementCancelledError
from tests.servers import wait_until

LONG = {
    "sqlite": (
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000) "
        "SELECT count(*) FROM n"
    ),
    "postgresql": "SELECT pg_sleep(60)",
}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        found: str = request.getfixturevalue("pg_database")
        return found
    path = tmp_path / "app.db"
    sqlite.connect(path, create=True).close()
    return str(path)


@pytest.fixture
def writer(url: str) -> Iterator[Wire]:
    opens: Callable[[str], Wire] = (
        postgres.connect if url.startswith("postgresql") else sqlite.connect
    )
    wire = opens(url)
    wire.execute("CREATE TABLE item (id INTEGER PRIMARY KEY)")
    yield wire
    wire.close()


@pytest.fixture
def engine(url: str, writer: Wire) -> Iterator[Engine]:  # the table first
    opened = open_engine(Target(url, statement_timeout_ms=60_000))
    yield opened
    opened.close()


def test_a_transaction_sees_one_moment(engine: Engine, writer: Wire) -> None:
    count = "SELECT count(*) FROM item"
    with engine.transaction() as wire:
        assert wire.execute(count).scalar() == 0
        writer.execute("INSERT INTO item VALUES (1)")
        assert wire.execute(count).scalar() == 0
    assert engine.execute(count).scalar() == 1


def test_a_transaction_that_fails_leaves_the_connection_usable(engine: Engine) -> None:
    with pytest.raises(ZeroDivisionError), engine.transaction():
        raise ZeroDivisionError
    assert engine.execute("SELECT 1").scalar() == 1


def test_what_is_being_read_can_be_stopped_from_another_thread(engine: Engine) -> None:
    raised: list[Exception] = []

    def read() -> None:
        try:
            engine.execute(LONG[engine.dialect])
        except StatementCancelledError as error:
            raised.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    started = time.monotonic()

    def stopped() -> bool:
        engine.cancel()
        return bool(raised)

    wait_until(stopped, 10.0, "the statement to be stopped")
    thread.join(5.0)
    assert time.monotonic() - started < 10.0
    assert engine.execute("SELECT 1").scalar() == 1
