from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from homeostat.driver import postgres
from homeostat.driver.wire import Wire
from homeostat.engine.engine import Activity, ConnectionLimit, Session
from homeostat.errors import DatabaseError
from homeostat.measure import Severity, Unknown
from homeostat.monitor.sessions import ConnectionsNearLimit, IdleTransaction, LongStatement
from homeostat.operate.rule import Judgement, Undecided
from tests.monitor.stage import judged, ward
from tests.servers import running_server, wait_until

pytestmark = pytest.mark.every_postgres

SHARE = "postgresql.connections_used_share"


@contextmanager
def connected(url: str, *, name: str = "shop") -> Iterator[Wire]:
    wire = postgres.connect(url, application_name=name)
    try:
        yield wire
    finally:
        wire.close()


def test_a_transaction_left_open_is_named_and_clears_when_it_ends(
    tmp_path: Path, pg_database: str
) -> None:
    with (
        ward(tmp_path / "data", pg_database, idle_transaction_seconds=0.2) as one,
        connected(pg_database, name="forgetful") as wire,
    ):
        wire.begin(write=True)
        wire.execute("SELECT 4711")

        def found() -> bool:
            one.tick()
            return one.open("idle-transaction") is not None

        wait_until(found, what="the transaction to idle for long")
        finding = one.open("idle-transaction")
        assert finding is not None
        assert finding.severity == "warning"
        assert "(forgetful) has been idle in a transaction" in finding.what
        assert "SELECT" in finding.cause
        assert "4711" not in finding.cause
        assert "pg_terminate_backend" in finding.mend
        wire.rollback()
        one.tick()
        assert one.open("idle-transaction") is None


def test_a_statement_that_lasts_is_named(tmp_path: Path, pg_database: str) -> None:
    with (
        ward(tmp_path / "data", pg_database, long_query_seconds=0.2) as one,
        connected(pg_database, name="reports") as wire,
    ):

        def run() -> None:
            with pytest.raises(DatabaseError):
                wire.execute("SELECT pg_sleep(60)")

        thread = threading.Thread(target=run)
        thread.start()

        def found() -> bool:
            one.tick()
            return one.open("long-statement") is not None

        wait_until(found, what="the statement to last")
        finding = one.open("long-statement")
        wire.cancel()
        thread.join(10)
        assert finding is not None
        assert "(reports) has been running" in finding.what
        assert "pg_sleep" in finding.what
        assert "pg_cancel_backend" in finding.mend
        one.tick()
        assert one.open("long-statement") is None


@pytest.mark.slow
def test_a_server_without_free_connections_is_critical_and_names_who_has_them(
    tmp_path: Path,
) -> None:
    with (
        running_server(max_connections=12) as server,
        ward(tmp_path / "data", server.url()) as one,
    ):
        wires = [postgres.connect(server.url(), application_name="greedy") for _ in range(7)]
        try:
            one.tick()
            finding = one.open("connections-near-limit")
            assert finding is not None
            assert finding.severity == "critical"
            assert "(9 of 9)" in finding.what
            assert "greedy has 7 of the" in finding.cause
            assert finding.evidence["by_application"]["greedy"] == 7
        finally:
            for wire in wires:
                wire.close()
        wait_until(
            lambda: (
                server.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'greedy'"
                )
                == [(0,)]
            ),
            what="the sessions to end",
        )
        one.tick(times=3)
        assert one.open("connections-near-limit") is None


# -- recorded readings


def session(
    state: str, seconds: float, *, pid: int = 1, blocked_by: tuple[int, ...] = ()
) -> Session:
    return Session(pid, "app", "shop", state, seconds, seconds, "", blocked_by, "UPDATE t")


def activity(*sessions: Session) -> Activity:
    return Activity(float(len(sessions)), 97.0, sessions, (), 0.0)


@pytest.mark.parametrize(
    ("values", "severity"),
    [
        ([0.8] * 30, Severity.WARNING),  # 30 ticks of 10 s are the 5 minutes
        ([0.8] * 29, None),
        ([0.79] + [0.9] * 29, None),
        ([0.9] * 29 + [0.79], None),
        ([0.1] * 29 + [1.0], Severity.CRITICAL),
        ([1.0], Severity.CRITICAL),
    ],
)
def test_connections_are_near_their_limit_at_80_percent_for_5_minutes_or_when_all_are_used(
    values: list[float], severity: Severity | None
) -> None:
    said = judged(ConnectionsNearLimit(), {SHARE: list(values)})
    found = [one.severity for one in said if isinstance(one, Judgement)]
    assert found == ([] if severity is None else [severity])


def test_the_limit_that_is_meant_is_named_with_its_own_numbers() -> None:
    """25 clients of the server do not use up a database's 12 connections."""
    inside = Session(1, "app", "shop", "idle", 1.0, None, "", (), "", database="small")
    others = [dataclasses.replace(inside, database="other", application="tools")] * 20
    limits = (
        ConnectionLimit("database", "small", 11.0, 12.0),
        ConnectionLimit("server", "", 25.0, 37.0),
    )
    seen = Activity(11.0, 12.0, (inside, *others), limits=limits)
    [said] = judged(ConnectionsNearLimit(), {SHARE: [11 / 12] * 30}, activity=seen)
    assert isinstance(said, Judgement)
    assert "92% of the connections that database small permits are in use (11 of 12)" in said.what
    assert said.cause == "shop has 1 of the 1 connections seen, 1 of them idle"
    assert 'ALTER DATABASE "small" CONNECTION LIMIT' in said.mend


def test_a_minute_without_readings_does_not_count_as_quiet() -> None:
    [said] = judged(ConnectionsNearLimit(), {SHARE: [0.9, Unknown("down")]})
    assert isinstance(said, Undecided)


@pytest.mark.parametrize(("seconds", "opens"), [(299.9, False), (300.0, True)])
def test_the_edge_of_idle_in_transaction_is_300_seconds(*, seconds: float, opens: bool) -> None:
    for state in ("idle in transaction", "idle in transaction (aborted)"):
        said = judged(IdleTransaction(), {}, activity=activity(session(state, seconds)))
        assert bool(said) is opens
    assert not judged(IdleTransaction(), {}, activity=activity(session("idle", seconds)))


def test_an_idle_transaction_that_others_wait_for_is_high() -> None:
    waiting = session("active", 3.0, pid=2, blocked_by=(1,))
    [said] = judged(
        IdleTransaction(), {}, activity=activity(session("idle in transaction", 400.0), waiting)
    )
    assert isinstance(said, Judgement)
    assert said.severity is Severity.HIGH
    assert "others wait" in said.what


@pytest.mark.parametrize(("seconds", "opens"), [(59.9, False), (60.0, True)])
def test_the_edge_of_a_long_statement_is_60_seconds(*, seconds: float, opens: bool) -> None:
    said = judged(LongStatement(), {}, activity=activity(session("active", seconds)))
    assert bool(said) is opens
    assert not judged(LongStatement(), {}, activity=activity(session("idle", seconds)))


def test_a_statement_that_waits_for_a_lock_says_whose() -> None:
    waiting = session("active", 61.0, pid=2, blocked_by=(7,))
    [said] = judged(LongStatement(), {}, activity=activity(waiting))
    assert isinstance(said, Judgement)
    assert said.cause == "it waits for a lock held by pid 7"


@pytest.mark.parametrize("rule", [IdleTransaction(), LongStatement()])
def test_sessions_that_were_not_read_decide_nothing(rule: IdleTransaction | LongStatement) -> None:
    [said] = judged(rule, {})
    assert isinstance(said, Undecided)
