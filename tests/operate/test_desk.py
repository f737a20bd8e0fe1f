"""What becomes of a remedy when something comes between: a person, an error, a lost lock."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from homeostat.clock import ManualClock
from homeostat.errors import DatabaseError, DecisionRefusedError
from homeostat.operate.own_findings import NEEDS_PERSON
from homeostat.operate.verify import Batch, Demand
from tests.operate.stage import SECONDS, Script, Stage, dial_stage
from tests.servers import wait_until


def rules_open(one: Stage) -> set[str]:
    return {finding.rule for finding in one.console.findings()}


def test_nothing_speaks_against_it_so_it_is_kept(sqlite_path: Path, tmp_path: Path) -> None:
    with dial_stage(tmp_path, Script(), sqlite_path) as one:
        one.tick()
        assert one.until_over().state == "kept"
        assert one.dial() == 1


def test_a_pause_before_the_change_keeps_it_from_being_made(
    sqlite_path: Path, tmp_path: Path
) -> None:
    script = Script()
    with dial_stage(tmp_path, script, sqlite_path) as one:
        one.tick()
        assert one.remedy().state in {"proposed", "rehearsing"}
        one.console.pause(actor="me")
        record = one.until_over()
        assert (record.state, script.applied, one.dial()) == ("refused", 0, None)
        assert "paused" in record.verdict
        one.console.resume(actor="me")
        one.tick()
        assert one.until_over().state == "kept", "a pause says nothing against the remedy"


def test_a_pause_does_not_keep_a_change_from_being_undone(
    sqlite_path: Path, tmp_path: Path
) -> None:
    with dial_stage(tmp_path, Script(), sqlite_path) as one:
        one.tick()
        one.until("verifying")
        one.console.pause(actor="me")
        one.console.decide(1, "revert", actor="me")
        assert one.until_over().state == "reverted"
        assert one.dial() is None


def test_a_remedy_under_way_when_its_database_is_detached_goes_on_when_it_is_back(
    sqlite_path: Path, tmp_path: Path
) -> None:
    with dial_stage(tmp_path, Script(), sqlite_path) as one:
        one.tick()
        one.until("verifying")
        [carrying] = [t for t in threading.enumerate() if t.name == f"remedy-{one.remedy().id}"]
        one.operator.detach(one.key, actor="me")
        assert not carrying.is_alive(), "it does not wait for what nobody measures any more"
        one.operator.attach(str(sqlite_path))
        assert one.until_over().state == "kept"
        assert one.dial() == 1


@pytest.mark.parametrize("method", ["rehearse", "apply", "observe", "measure"])
def test_a_defect_in_a_remedy_leaves_nothing_behind(
    sqlite_path: Path, tmp_path: Path, method: str
) -> None:
    """Whatever raises: what was changed is undone, the record ends, and a person is told."""
    script = Script()
    with dial_stage(tmp_path, script, sqlite_path) as one:
        script.raising[method] = ZeroDivisionError("a defect")
        one.tick()
        record = one.until_over()
        assert record.state == "failed", record
        assert "a defect" in record.verdict
        assert one.dial() is None
        wait_until(lambda: NEEDS_PERSON in rules_open(one), SECONDS, "the finding")


def test_a_defect_while_verifying_undoes_the_change(sqlite_path: Path, tmp_path: Path) -> None:
    script = Script()
    with dial_stage(tmp_path, script, sqlite_path) as one:
        one.tick()
        one.until("verifying")
        script.raising["measure"] = ZeroDivisionError("a defect")
        assert one.until_over().state == "failed"
        assert one.dial() is None


@pytest.mark.parametrize("error", [DatabaseError("no"), ZeroDivisionError("a defect")])
def test_what_could_not_be_undone_can_be_undone_later(
    sqlite_path: Path, tmp_path: Path, error: Exception
) -> None:
    """Also when the change itself was never seen in force."""
    script = Script(unseen={"observe"}, raising={"revert": error})
    with dial_stage(tmp_path, script, sqlite_path) as one:
        one.tick()
        record = one.until("asking")
        assert one.dial() == 1
        assert record.applied is None
        one.until_over()
        assert one.console.remedy(record.id).possible == ["revert"]
        one.console.decide(record.id, "revert", actor="me")
        assert one.until_over(record.id).state in {"failed", "reverted"}
        assert one.dial() is None


def test_a_finding_that_a_remedy_needs_a_person_clears_when_nobody_is_needed(
    sqlite_path: Path, tmp_path: Path
) -> None:
    script = Script(raising={"revert": DatabaseError("no")})
    with dial_stage(tmp_path, script, sqlite_path) as one:
        one.tick()
        one.until("verifying")
        one.console.decide(1, "revert", actor="me")
        one.until("asking")
        wait_until(lambda: NEEDS_PERSON in rules_open(one), SECONDS, "the finding")
        one.console.decide(1, "revert", actor="me")
        one.until_over(1)
        one.tick()
        assert NEEDS_PERSON not in rules_open(one)


def test_a_failure_is_told_as_long_as_its_trouble_stands(sqlite_path: Path, tmp_path: Path) -> None:
    script = Script(raising={"apply": DatabaseError("no")})
    with dial_stage(tmp_path, script, sqlite_path) as one:
        one.tick()
        assert one.until_over().state == "failed"
        one.tick()
        assert NEEDS_PERSON in rules_open(one)
        script.wrong = False
        one.tick()
        one.tick()
        assert rules_open(one) == set()


def test_without_the_databases_lock_nobody_changes_anything(
    sqlite_path: Path, tmp_path: Path
) -> None:
    script = Script()
    with dial_stage(tmp_path, script, sqlite_path, autonomy="approve") as one:
        one.tick()
        one.one.lock.release()
        with pytest.raises(DecisionRefusedError, match="lock"):
            one.console.decide(1, "approve", actor="me")
        one.one.keep_lock()
        one.console.decide(1, "approve", actor="me")
        assert one.until_over().state == "kept"
        one.one.lock.release()
        with pytest.raises(DecisionRefusedError, match="lock"):
            one.console.decide(1, "revert", actor="me")
        assert one.dial() == 1


def test_a_run_that_loses_the_lock_goes_on_when_it_is_back(
    sqlite_path: Path, tmp_path: Path
) -> None:
    script = Script()
    with dial_stage(tmp_path, script, sqlite_path) as one:
        one.tick()
        assert one.remedy().state in {"proposed", "rehearsing"}
        one.one.lock.release()
        one.until("applying")
        one.clock.advance(30.0)
        wait_until(lambda: not one.carrying(), SECONDS, "the run to stand by")
        assert (one.remedy().state, script.applied) == ("applying", 0)
        one.one.keep_lock()
        assert one.until_over().state == "kept"


def test_what_was_only_observed_is_done_once_it_may_be(sqlite_path: Path, tmp_path: Path) -> None:
    with dial_stage(tmp_path, Script(), sqlite_path, autonomy="observe") as one:
        one.tick()
        one.tick()
        assert [r.state for r in one.console.remedies()] == ["observed"]
        one.console.set_autonomy("turn-dial", "approve", actor="me")
        one.tick()
        one.tick()
        assert [r.state for r in one.console.remedies()] == ["waiting", "observed"]
        one.console.set_autonomy("turn-dial", "auto", actor="me")
        one.tick()
        assert one.until_over().state == "kept"
        assert [r.state for r in one.console.remedies()] == ["kept", "refused", "observed"]


def test_what_waits_for_a_person_ends_with_its_trouble(sqlite_path: Path, tmp_path: Path) -> None:
    script = Script()
    with dial_stage(tmp_path, script, sqlite_path, autonomy="approve") as one:
        one.tick()
        assert one.console.status().databases[0].waiting == 1
        script.wrong = False
        one.tick()
        one.tick()
        assert one.remedy().state == "refused"
        assert one.console.status().databases[0].waiting == 0
        with pytest.raises(DecisionRefusedError):
            one.console.decide(1, "approve", actor="me")


def test_of_two_changes_the_later_one_is_undone_first(sqlite_path: Path, tmp_path: Path) -> None:
    """The undo of the first is what was before both; the second's would bring the first back."""
    script = Script()
    with dial_stage(tmp_path, script, sqlite_path) as one:
        one.tick()
        assert one.until_over().state == "kept"
        script.to = 2
        one.tick()
        assert one.until_over(2).state == "kept"
        assert one.console.remedy(1).possible == []
        with pytest.raises(DecisionRefusedError, match="remedy 2"):
            one.console.decide(1, "revert", actor="me")
        script.wrong = False
        one.tick()
        for number in (2, 1):
            assert one.console.remedy(number).possible == ["revert"]
            one.console.decide(number, "revert", actor="me")
            assert one.until_over(number).state == "reverted"
        assert one.dial() is None


def test_who_asked_to_undo_a_running_remedy_is_on_record(sqlite_path: Path, tmp_path: Path) -> None:
    with dial_stage(tmp_path, Script(), sqlite_path) as one:
        one.tick()
        one.until("verifying")
        one.console.decide(1, "revert", actor="me")
        assert one.until_over().state == "reverted"
        assert ("me", "revert") in [(e.actor, e.action) for e in one.console.audit()]


class SetClock(ManualClock):
    """A clock whose wall time somebody sets."""

    set_by = 0.0
    waits = 0

    def now(self) -> float:
        return super().now() + self.set_by

    def monotonic(self) -> float:
        return super().now()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.waits += 1
        return super().wait(event, seconds)


def test_a_wall_clock_that_is_set_back_does_not_hold_a_verdict_up(
    sqlite_path: Path, tmp_path: Path
) -> None:
    """Nothing can be told of such a time, so the change is undone; not a day later."""
    clock = SetClock()
    with dial_stage(tmp_path, Script(), sqlite_path, clock=clock) as one:
        one.tick()
        one.until("verifying")
        wait_until(lambda: one.console.remedy(1).steps[-1].name == "verify", SECONDS, "the step")
        waits = clock.waits
        clock.advance(0.5)
        wait_until(lambda: clock.waits > waits, SECONDS, "measuring to be waited for")
        clock.set_by = -86_400.0
        assert one.until_over().state == "reverted"
        assert one.dial() is None


@pytest.mark.parametrize(("share", "state"), [(0.3, "reverted"), (2.0, "kept")])
def test_how_much_the_load_may_change_is_as_configured(
    sqlite_path: Path, tmp_path: Path, share: float, state: str
) -> None:
    script = Script(
        demand=Demand("mean latency", "ms", 0.3, "the dial", mechanism_min=0.5),
        batches={None: Batch(100.0, 100.0), 1: Batch(10.0, 40.0, 1.0)},
    )
    with dial_stage(tmp_path, script, sqlite_path, load_drift_share=share) as one:
        one.tick()
        assert one.until_over().state == state
