"""What is written is read back, in one piece, in order; who follows is told; readers never wait."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import pytest

from homeostat.clock import ManualClock
from homeostat.errors import LogbookError, NotFoundError
from homeostat.logbook import Logbook
from homeostat.logbook.transaction import EVENTS_KEPT
from tests.logbook.making import DATABASE, database, finding, remedy, run, step


def test_rows_come_back_as_they_were_saved(path: Path, clock: ManualClock) -> None:
    with Logbook.open(path, clock=clock) as logbook, logbook.write(None) as tx:
        tx.save_database(database())
        found = tx.save_finding(finding(evidence={"used": 9, "texts": ["a", "ü"]}))
        proposed = tx.save_remedy(remedy(finding=found.id))
        started = tx.save_run(run(remedy=proposed.id))
        first = tx.save_step(step(started.id, 1, intent={"limit": 20}, undo={"limit": 10}))
        tx.set_value("settings", {"limit": 20})
    with Logbook.open(path, clock=clock) as logbook:
        assert logbook.databases() == [database()]
        assert logbook.findings() == [found] == [logbook.finding(found.id)]
        assert logbook.remedies() == [proposed] == [logbook.remedy(proposed.id)]
        assert logbook.runs() == [started] == [logbook.run(started.id)]
        assert logbook.steps(started.id) == [first]
        assert logbook.value("settings") == {"limit": 20}
        assert logbook.value("nothing") is None
    assert found.id == proposed.id == started.id == 1


def test_a_saved_row_replaces_the_one_before(logbook: Logbook) -> None:
    with logbook.write(None) as tx:
        first, second = tx.save_finding(finding()), tx.save_finding(finding(what="second"))
        started = tx.save_run(run())
        tx.save_step(step(started.id, 1))
        tx.save_database(database())
    cleared = msgspec.structs.replace(first, state="cleared", cleared=9.0)
    done = step(started.id, 1, state="done", observed=8.0)
    paused = msgspec.structs.replace(database(), paused=True)
    with logbook.write(None) as tx:
        tx.save_finding(cleared)
        tx.save_step(done)
        tx.save_database(paused)
    assert logbook.findings() == [second]
    assert logbook.findings(open_only=False) == [second, cleared]
    assert logbook.steps(started.id) == [done]
    assert logbook.databases() == [paused]


def test_lists_are_cut_by_database_state_and_limit_newest_first(logbook: Logbook) -> None:
    with logbook.write(None) as tx:
        for number in range(6):
            where = DATABASE if number % 2 else "other"
            state = "waiting" if number < 4 else "kept"
            tx.save_remedy(remedy(database=where, state=state))
            tx.save_run(run(database=where, state="done" if number < 4 else "running"))
    assert [r.id for r in logbook.remedies(limit=2)] == [6, 5]
    assert [r.id for r in logbook.remedies(database=DATABASE)] == [6, 4, 2]
    assert [r.id for r in logbook.remedies(states={"waiting"})] == [4, 3, 2, 1]
    assert [r.id for r in logbook.remedies("other", states=("waiting", "kept"))] == [5, 3, 1]
    assert [r.id for r in logbook.remedies(states=())] == []
    assert [r.id for r in logbook.runs(states=["running"])] == [6, 5]


def test_every_save_is_an_event_in_order(logbook: Logbook, clock: ManualClock) -> None:
    with logbook.write(None) as tx:
        found = tx.save_finding(finding())
        tx.note(database=DATABASE, data={"said": "hello"})
        tx.set_value("key", 1)
    clock.advance(5)
    with logbook.write(None) as tx:
        entry = tx.audit(actor="me", action="approve", database="", subject="remedy 1", detail={})
    events = logbook.events(0)
    assert [event.kind for event in events] == ["finding", "note", "audit"]
    assert [event.sequence for event in events] == [1, 2, 3]
    assert [event.at for event in events] == [clock.now() - 5, clock.now() - 5, clock.now()]
    assert msgspec.convert(events[0].data, type(found)) == found
    assert msgspec.convert(events[2].data, type(entry)) == entry
    assert [event.sequence for event in logbook.events(1, limit=1)] == [2]
    assert (logbook.first_sequence(), logbook.last_sequence()) == (1, 3)


def test_old_events_go_and_their_numbers_are_never_used_again(
    path: Path, clock: ManualClock
) -> None:
    with Logbook.open(path, clock=clock) as logbook:
        assert (logbook.first_sequence(), logbook.last_sequence()) == (0, 0)
        with logbook.write(None) as tx:
            for _ in range(EVENTS_KEPT + 1000):
                tx.note(database="", data={})
        assert logbook.first_sequence() == 1001
        assert logbook.last_sequence() == EVENTS_KEPT + 1000


def test_nothing_is_written_when_the_block_fails(logbook: Logbook) -> None:
    def fail_late() -> None:
        with logbook.write(None) as tx:
            tx.save_finding(finding())
            tx.audit(actor="", action="", database="", subject="", detail={})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_late()
    assert logbook.findings() == []
    assert logbook.events(0) == []
    assert logbook.verify_audit() == 0
    with logbook.write(None) as tx:
        assert tx.save_finding(finding()).id == 1


def test_what_does_not_exist_is_named(logbook: Logbook) -> None:
    for ask in (logbook.finding, logbook.remedy, logbook.run):
        with pytest.raises(NotFoundError, match="7"):
            ask(7)
    with pytest.raises(NotFoundError, match="remedy 7"), logbook.write(None) as tx:
        tx.save_remedy(remedy(id=7))
    with pytest.raises(NotFoundError, match="run 7"), logbook.write(None) as tx:
        tx.save_step(step(7, 1))
    assert logbook.steps(7) == []


def test_a_transaction_is_used_in_its_block_only(logbook: Logbook) -> None:
    with logbook.write(None) as tx:
        with pytest.raises(LogbookError, match="already open"), logbook.write(None):
            pass
        tx.save_finding(finding())
    assert len(logbook.findings()) == 1
    with pytest.raises(LogbookError, match="has ended"):
        tx.save_finding(finding())


def test_who_follows_is_told_after_the_commit(logbook: Logbook) -> None:
    seen: list[tuple[int, int]] = []
    end = logbook.subscribe(lambda sequence: seen.append((sequence, logbook.last_sequence())))
    with logbook.write(None) as tx:
        tx.save_finding(finding())
        tx.save_finding(finding())
        assert seen == []
    assert seen == [(2, 2)]
    with logbook.write(None) as tx:
        tx.set_value("key", 1)
    assert seen == [(2, 2)]  # no event, nothing to tell
    end()
    end()
    with logbook.write(None) as tx:
        tx.save_finding(finding())
    assert seen == [(2, 2)]


def test_a_subscriber_may_write_and_may_fail(
    logbook: Logbook, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: int) -> None:
        raise ValueError("broken subscriber")

    def chained(_: int) -> None:
        if logbook.value("told") is None:
            with logbook.write(None) as tx:
                tx.set_value("told", True)

    logbook.subscribe(broken)
    logbook.subscribe(chained)
    with logbook.write(None) as tx:
        tx.save_finding(finding())
    assert len(logbook.findings()) == 1
    assert logbook.value("told") is True
    assert "broken subscriber" in caplog.text


def test_readers_do_not_wait_for_an_open_write(logbook: Logbook) -> None:
    with logbook.write(None) as tx:
        before = tx.save_finding(finding())
    with logbook.write(None) as tx:
        tx.save_finding(finding(what="not committed"))
        read: list[object] = []
        reader = threading.Thread(target=lambda: read.append(logbook.findings()))
        reader.start()
        reader.join(timeout=5)
        assert read == [[before]]  # while the write is open, and without what it wrote
        assert logbook.findings() == [before]
    assert len(logbook.findings()) == 2


def test_many_threads_write_and_read_at_once(logbook: Logbook) -> None:
    def work(number: int) -> None:
        for _ in range(10):
            with logbook.write(None) as tx:
                tx.save_finding(finding(what=str(number)))
                tx.audit(actor=str(number), action="", database="", subject="", detail={})
            logbook.findings()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert [row.id for row in logbook.findings(limit=100)] == list(range(80, 0, -1))
    assert logbook.verify_audit() == 80


def test_readonly_reads_and_refuses_to_write(path: Path, clock: ManualClock) -> None:
    with pytest.raises(LogbookError), Logbook.open(path, clock=clock, readonly=True):
        pass
    assert not path.exists()
    with Logbook.open(path, clock=clock) as logbook:
        with logbook.write(None) as tx:
            tx.save_finding(finding())
        with Logbook.open(path, clock=clock, readonly=True) as reading:
            assert len(reading.findings()) == 1
            with logbook.write(None) as tx:
                tx.save_finding(finding())
            assert len(reading.findings()) == 2
            with pytest.raises(LogbookError, match="reading only"), reading.write(None):
                pass


def test_closed_is_closed(path: Path, clock: ManualClock) -> None:
    logbook = Logbook.open(path, clock=clock)
    logbook.close()
    logbook.close()
    with pytest.raises(LogbookError, match="closed"):
        logbook.findings()
    with pytest.raises(LogbookError, match="closed"), logbook.write(None):
        pass


def test_closing_leaves_one_file_also_after_reading(path: Path, clock: ManualClock) -> None:
    with Logbook.open(path, clock=clock) as logbook:
        with logbook.write(None) as tx:
            tx.save_finding(finding())
        logbook.findings()
    assert [found.name for found in path.parent.iterdir()] == [path.name]
