"""An operator that is stopped, thawed or killed with work under way, and its successor."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from homeostat.clock import SystemClock
from homeostat.config import Config
from homeostat.driver import sqlite
from homeostat.errors import DatabaseLockedError
from homeostat.main import prepare_data
from homeostat.operate.operator import Operator
from tests.faults.killing import ended, logbook
from tests.faults.processes import Process, running
from tests.faults.test_interrupted import GROW, check
from tests.servers import PostgresServer, wait_until

SECONDS = 45.0


def state(data: Path) -> str:
    with logbook(data) as book:
        records = book.remedies()
        return records[-1].state if records else ""


def frozen_while_verifying(stack: ExitStack, url: str, data: Path) -> tuple[Process, Process]:
    """Return the application and an operator that was stopped in the middle of its remedy."""
    data.mkdir(mode=0o700)
    application = stack.enter_context(running("tests.faults.application", url, str(data)))
    application.ready()
    holder = stack.enter_context(running("tests.faults.victim", url, str(data), "--elsewhere"))
    holder.ready()
    wait_until(lambda: state(data) == "verifying", SECONDS, "the remedy to be verified")
    freeze_between_commits(holder, data)
    return application, holder


def freeze_between_commits(process: Process, data: Path) -> None:
    """Stop a process at a moment when it has not locked the logbook itself."""

    def stopped() -> bool:
        os.kill(process.pid, signal.SIGSTOP)
        wire = sqlite.connect(data / "logbook.db", mode="foreign", busy_ms=50)
        try:
            wire.begin(write=True)
        except DatabaseLockedError:
            os.kill(process.pid, signal.SIGCONT)
            return False
        finally:
            wire.rollback()
            wire.close()
        return True

    wait_until(stopped, 10.0, "a stop between two commits")


@pytest.mark.slow
def test_a_thawed_operator_changes_nothing_postgresql(pg_database: str, tmp_path: Path) -> None:
    """The successor ends the stopped one's sessions, so it need not wait for it."""
    data = tmp_path / "data"
    with ExitStack() as stack:
        application, holder = frozen_while_verifying(stack, pg_database, data)
        wait_until(lambda: lease_is_over(data), SECONDS, "the end of the lease")
        stack.enter_context(running("tests.faults.victim", pg_database, str(data))).ready()
        wait_until(lambda: ended(data, GROW), SECONDS, "the successor to finish the remedy")
        record = ended(data, GROW)
        os.kill(holder.pid, signal.SIGCONT)
        assert "lost" in holder.line()
        assert holder.wait(SECONDS) == 0
        assert ended(data, GROW) == record
        assert record is not None
        check(record, application, data)


@pytest.mark.slow
def test_a_thawed_operator_changes_nothing_sqlite(sqlite_path: Path, tmp_path: Path) -> None:
    """The stopped one keeps its lock on the file: the successor stands by until it is gone."""
    data = tmp_path / "data"
    with ExitStack() as stack:
        application, holder = frozen_while_verifying(stack, str(sqlite_path), data)
        wait_until(lambda: lease_is_over(data), SECONDS, "the end of the lease")
        stack.enter_context(running("tests.faults.victim", str(sqlite_path), str(data))).ready()
        assert state(data) == "verifying", "it must not act beside the stopped one"
        os.kill(holder.pid, signal.SIGCONT)
        assert "lost" in holder.line()
        assert holder.wait(SECONDS) == 0
        wait_until(lambda: ended(data, GROW), SECONDS, "the successor to finish the remedy")
        record = ended(data, GROW)
        assert record is not None
        check(record, application, data)


def lease_is_over(data: Path) -> bool:
    with logbook(data) as book:
        key = book.databases()[0].key
        tenure = book.tenure(key)
        return tenure is None or tenure.expires <= SystemClock().now()


@pytest.mark.slow
def test_the_work_of_a_killed_operator_is_ended_before_its_successor_looks(
    pg_server: PostgresServer, pg_database: str, tmp_path: Path
) -> None:
    """A killed client's statement runs on in the server: the successor ends it first."""
    data = tmp_path / "data"
    prepare_data(data)

    def sleeping() -> int:
        rows = pg_server.execute(
            "SELECT application_name FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' "
            "AND state = 'active' AND pid <> pg_backend_pid()"
        )
        assert all("run 7 epoch 1" in str(row[0]) for row in rows)
        return len(rows)

    with running("tests.faults.worker", pg_database, str(data)) as worker:
        worker.ready()
        wait_until(lambda: sleeping() == 1, 10.0, "the work to be under way")
    assert sleeping() == 1, "without a successor it would run on"
    operator = Operator(data, rooms=[], config=Config(), clock=SystemClock())
    try:
        operator.attach(pg_database)
        assert sleeping() == 0
        assert all(one.lock.held for one in operator.attached.values())
    finally:
        operator.stop()
