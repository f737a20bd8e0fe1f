"""An operator whose databases come, go, are paused, or whose logbook and lock fail it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from homeostat.clock import SystemClock
from homeostat.driver import sqlite
from homeostat.engine import Unsupported, open_engine
from homeostat.engine.engine import Target
from homeostat.engine.runtime_lock import runtime_directory
from homeostat.errors import ConfigError
from homeostat.main import prepare_data
from homeostat.measure import Sample
from homeostat.operate.operator import Operator
from homeostat.operate.own_findings import STANDING_BY
from homeostat.operate.probe import Watched
from homeostat.operate.room import Room
from tests.operate.stage import CONFIG, SECONDS, DialWrong, Quiet, Script, dial_stage, stage
from tests.servers import PostgresServer, wait_until


@dataclass(frozen=True)
class Interrupted(Quiet):
    """A probe during whose reading something happens."""

    then: list[Callable[[], None]] = field(default_factory=list)

    def read(self, watched: Watched) -> Iterable[Sample]:
        for action in self.then:
            action()
        return super().read(watched)


def test_a_database_detached_during_a_tick_does_not_end_the_operator(
    sqlite_path: Path, tmp_path: Path
) -> None:
    probe = Interrupted()
    room = Room("dial", probes=(probe,), rules=(DialWrong(Script()),))
    with stage(tmp_path / "data", str(sqlite_path), [room]) as one:
        probe.then.append(lambda: one.console.detach(one.key, actor="me"))
        one.tick()
        assert one.operator.lost is None
        assert not one.operator.stop_event.is_set()
        assert one.console.status().databases == []


def test_a_detached_database_is_not_locked_again(sqlite_path: Path, tmp_path: Path) -> None:
    """The look after its lock may be under way at that moment."""
    with dial_stage(tmp_path, Script(), sqlite_path) as one:
        attached = one.one
        one.console.detach(one.key, actor="me")
        attached.keep_lock()
        assert not attached.lock.held
        with dial_stage(tmp_path / "other", Script(), sqlite_path) as other:
            assert other.one.lock.held


def test_one_database_is_resumed_after_all_were_paused(sqlite_path: Path, tmp_path: Path) -> None:
    second = tmp_path / "second.db"
    sqlite.connect(second, create=True).close()
    with dial_stage(tmp_path, Script(), sqlite_path) as one:
        other = one.operator.attach(str(second)).key
        one.console.pause(actor="me")
        one.console.resume(actor="me", database=one.key)
        states = {one.key: "ok", other: "paused"}
        assert {d.key: d.state for d in one.console.status().databases} == states
        one.tick()
        assert one.until_over().state == "kept"


def test_a_database_attached_while_all_are_paused_is_paused(
    sqlite_path: Path, tmp_path: Path
) -> None:
    second = tmp_path / "second.db"
    sqlite.connect(second, create=True).close()
    with dial_stage(tmp_path, Script(), sqlite_path) as one:
        one.console.pause(actor="me")
        one.operator.attach(str(second))
        assert [d.state for d in one.console.status().databases] == ["paused", "paused"]


def test_a_failing_logbook_counts_as_failing_until_it_was_written(
    sqlite_path: Path, tmp_path: Path
) -> None:
    """A tick that has nothing to write says nothing about whether it could."""
    script = Script()
    with dial_stage(tmp_path, script, sqlite_path) as one:
        wire = sqlite.connect(tmp_path / "data" / "logbook.db", mode="foreign")
        try:
            wire.begin(write=True)
            one.tick()
            assert one.console.status().state == "logbook"
            script.wrong = False
            one.tick()
            assert one.console.status().state == "logbook"
        finally:
            wire.close()
        one.operator.beat()
        assert one.console.status().state == "ok"


def test_a_lock_that_cannot_be_looked_at_is_told_and_asked_for_again(
    sqlite_path: Path, tmp_path: Path
) -> None:
    operate = msgspec.structs.replace(CONFIG.operate, lease_seconds=1.0)
    config = msgspec.structs.replace(CONFIG, operate=operate)
    (tmp_path / "data").mkdir(mode=0o700)
    operator = Operator(tmp_path / "data", rooms=[], config=config, clock=SystemClock())
    try:
        key = operator.attach(str(sqlite_path)).key
        one = operator.attached[key]
        operator.start()
        [file] = runtime_directory().glob(f"{key}.*.lock")
        file.unlink()
        file.symlink_to("nowhere")
        one.lock.release()
        wait_until(
            lambda: STANDING_BY in {f.rule for f in one.findings.open()}, SECONDS, "the finding"
        )
        file.unlink()
        wait_until(lambda: one.lock.held, SECONDS, "the lock")
        wait_until(lambda: one.findings.open() == [], SECONDS, "the finding to clear")
        assert one.ownership.tenure.expires > SystemClock().now(), "the lease was renewed meanwhile"
    finally:
        operator.stop()


def test_a_remedy_that_there_is_not_is_refused_by_name(sqlite_path: Path, tmp_path: Path) -> None:
    """What somebody meant to hold back would act."""
    misspelt = {"turn_dial": "observe"}
    with (
        pytest.raises(ConfigError, match="turn-dial"),
        dial_stage(tmp_path, Script(), sqlite_path, remedies=misspelt),
    ):
        pass


def test_a_remedy_that_this_version_does_not_know_can_be_closed(
    sqlite_path: Path, tmp_path: Path
) -> None:
    """An operator of another version left it; its resource must not stay taken for ever."""
    with dial_stage(tmp_path, Script(), sqlite_path) as one:
        one.tick()
        one.until("verifying")
    room = Room("dial", probes=(Quiet(),), rules=(DialWrong(Script()),))
    with stage(tmp_path / "data", str(sqlite_path), [room]) as one:
        assert one.remedy().state == "asking"
        assert one.console.remedy(1).possible == ["reject"]
        one.console.decide(1, "reject", actor="me")
        one.tick()
        assert one.remedy().state == "rejected"
        assert {f.rule for f in one.console.findings()} == {"dial-wrong"}


def test_a_lock_that_the_server_dropped_is_missed_before_anything_is_changed(
    pg_server: PostgresServer, pg_database: str, tmp_path: Path
) -> None:
    """A restarted server forgets it, and another operator may have it before anybody looks."""
    script = Script()
    with dial_stage(tmp_path, script, pg_database) as one:
        one.tick()
        locks = "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory'"
        assert pg_server.execute(locks) == [(True,)]
        with contextlib.closing(open_engine(Target(pg_database))) as other:
            assert not isinstance(other.control, Unsupported)
            with other.control.lock(f"homeostat:{one.key}") as taken:
                assert taken
                one.until("applying")
                wait_until(lambda: not one.carrying(), SECONDS, "the run to stand by")
                assert (one.remedy().state, script.applied) == ("applying", 0)
        one.one.keep_lock()
        assert one.until_over().state == "kept"


def test_what_is_read_while_it_stops_is_stored_before_the_file_is_closed(
    sqlite_path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    begun = threading.Event()
    probe = Interrupted()
    data = tmp_path / "data"
    prepare_data(data)
    room = Room("dial", probes=(probe,))
    operator = Operator(data, rooms=[room], config=CONFIG, clock=SystemClock())

    def until_it_stops() -> None:
        begun.set()
        operator.stop_event.wait(SECONDS)
        with contextlib.suppress(AssertionError):  # it is waited for, so this does not come
            wait_until(lambda: not operator.attached, 0.5)

    probe.then.append(until_it_stops)
    operator.attach(str(sqlite_path))
    operator.start()
    assert begun.wait(SECONDS)
    operator.stop()
    assert "could not be stored" not in caplog.text
