"""What may not act yet is rehearsed, so that people decide by what was shown."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from homeostat.config import Config
from homeostat.driver import sqlite
from homeostat.engine import Unsupported
from homeostat.errors import CloneRefusedError, DatabaseError
from homeostat.logbook.rows import Json
from homeostat.measure import Sample
from homeostat.operate.insights import ProposedRow
from homeostat.operate.remedy import Hands, Rehearsal, Rehearsed
from homeostat.operate.room import Room
from tests.operate.stage import (
    APPLICATION,
    CONFIG,
    DialWrong,
    Quiet,
    Script,
    Stage,
    TurnDial,
    dial_stage,
    stage,
)
from tests.servers import wait_until

DAY = 86_400.0


def offer(one: Stage) -> ProposedRow:
    now = one.clock.now()
    [row] = one.console.proposals(one.key, start=now - DAY, end=now + 1).proposed
    return row


def until_said(one: Stage, words: str) -> None:
    """Let time pass until the report says so of the rehearsal."""

    def said() -> bool:
        one.tick(seconds=30.0)
        return offer(one).rehearsal.startswith(words)

    wait_until(said, 10, words)
    one.one.desk.previews.join(10)  # the tick that saw it may have begun the next try


def test_what_waits_for_a_person_is_rehearsed_before_anybody_decides(
    tmp_path: Path, sqlite_path: Path
) -> None:
    with dial_stage(tmp_path, Script(to=3), sqlite_path, autonomy="approve") as one:
        one.tick()
        until_said(one, "it went well: tried")
        assert (offer(one).state, one.dial()) == ("waiting", None)
        assert [entry.action for entry in one.console.story(1)][-1] == "preview"
        one.console.decide(1, "approve", actor="ada")
        one.until("kept")
        moves = [step.name for step in one.console.remedy(1).steps]
        assert moves == ["rehearse", "apply", "verify"]  # rehearsed anew, on what is there now
        assert one.dial() == 3


def test_what_could_not_be_tried_says_why_and_is_tried_again(
    tmp_path: Path, sqlite_path: Path
) -> None:
    script = Script(to=3, raising={"rehearse": DatabaseError("the copy broke off")})
    with dial_stage(tmp_path, script, sqlite_path, autonomy="observe") as one:
        one.tick()
        until_said(one, "it could not be tried so far: the copy broke off")
        assert offer(one).state == "observed"
        until_said(one, "it went well: tried")
        [run] = one.operator.logbook.runs(one.key)
        assert (run.kind, run.attempt, run.state) == ("preview", 2, "done")


def test_a_trouble_that_ended_is_not_rehearsed_any_more(tmp_path: Path, sqlite_path: Path) -> None:
    script = Script(to=3, raising={"rehearse": DatabaseError("the copy broke off")})
    with dial_stage(tmp_path, script, sqlite_path, autonomy="observe") as one:
        one.tick()
        until_said(one, "it could not be tried so far")
        script.wrong = False
        while one.console.findings():
            one.tick(seconds=0.1)
        one.one.desk.previews.join(10)
        before = one.operator.logbook.runs(one.key)
        for _ in range(5):
            one.tick(seconds=3600.0)
            one.one.desk.previews.join(10)
        assert one.operator.logbook.runs(one.key) == before


def test_the_next_operator_takes_up_a_rehearsal_that_was_cut_off(
    tmp_path: Path, sqlite_path: Path
) -> None:
    script = Script(to=3, raising={"rehearse": DatabaseError("the operator was ended")})
    with dial_stage(tmp_path, script, sqlite_path, autonomy="observe") as one:
        one.tick()
        until_said(one, "it could not be tried so far")
        clock = one.clock
    with dial_stage(tmp_path, script, sqlite_path, autonomy="observe", clock=clock) as one:
        until_said(one, "it went well: tried")
        assert offer(one).state == "observed"


@pytest.mark.parametrize(
    ("mode", "bytes_max", "why"),
    [
        ("WAL", 0, "copies are made only for what is allowed (operate.preview_bytes_max is 0)"),
        ("DELETE", 10**9, "in rollback mode writers wait for a copy"),
    ],
)
def test_a_copy_that_is_not_wanted_or_holds_writers_up_is_not_made_unasked(
    tmp_path: Path, mode: str, bytes_max: int, why: str
) -> None:
    path = tmp_path / "shop.db"
    wire = sqlite.connect(path, create=True)
    wire.execute(f"PRAGMA journal_mode = {mode}")
    wire.execute("CREATE TABLE orders (id integer PRIMARY KEY)")
    wire.close()
    script = Script(to=3, raising={"rehearse": AssertionError("it was tried")})
    remedy = TurnDial(script, rehearsal="clone")
    room = Room("dial", probes=(Quiet(),), rules=(DialWrong(script),), remedies=(remedy,))
    with stage(tmp_path / "data", str(path), [room], observing(bytes_max)) as one:
        one.tick()
        until_said(one, f"it could not be tried so far: {why}")
        assert "rehearse" in script.raising


def test_a_dry_run_that_says_no_is_told_so_and_not_repeated_for_ever(
    tmp_path: Path, sqlite_path: Path
) -> None:
    script = Script(to=3)
    with dial_stage(tmp_path, script, sqlite_path, autonomy="approve") as one:
        one.one.watch.desired.set(APPLICATION, {"dial": 3})  # so turning it to 3 does nothing
        one.tick()
        until_said(one, "it spoke against it: tried")
        assert offer(one).state == "refused"
        assert "approve" not in one.one.desk.possible(one.remedy(1))


@dataclass(frozen=True)
class Copying(TurnDial):
    """Is rehearsed on a copy, in which the test has a say."""

    rehearsal: Rehearsal = "clone"
    during: Callable[[Hands], None] = lambda _: None

    def rehearse(self, parameters: Json, hands: Hands) -> Rehearsed:
        assert parameters
        self.during(hands)
        return Rehearsed(ok=True, reason="tried")


@contextmanager
def copying_stage(
    directory: Path, during: Callable[[Hands], None], config: Config
) -> Iterator[Stage]:
    """Run an operator beside a file of 1 MB, whose size nothing tells it."""
    path = directory / "shop.db"
    wire = sqlite.connect(path, create=True)
    wire.execute("PRAGMA journal_mode = WAL")
    wire.execute("CREATE TABLE orders (id integer PRIMARY KEY, note text)")
    wire.execute("INSERT INTO orders VALUES (1, zeroblob(1000000))")
    wire.close()
    script = Script(to=3)
    remedy = Copying(script, during=during)
    room = Room("dial", probes=(Quiet(),), rules=(DialWrong(script),), remedies=(remedy,))
    with stage(directory / "data", str(path), [room], config) as one:
        yield one


def known(one: Stage, size: float) -> None:
    """Let the operator know how many bytes the database has."""
    view = one.one.watch.view()
    view.recent.add([Sample(view.subject(), "database.size_bytes", view.at, size)])


def test_a_decision_taken_as_a_rehearsal_begins_keeps_its_own_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with copying_stage(tmp_path, lambda _: None, asking()) as one:
        known(one, 1e6)
        clone = type(one.one.engine.clone)

        def decided(_: object) -> str:  # a person is quicker than the copy
            monkeypatch.undo()
            one.console.decide(1, "approve", actor="ada")
            return ""

        monkeypatch.setattr(clone, "holds_up", decided)
        one.tick()
        one.one.desk.previews.join(10)
        one.until("kept")
        assert [step.name for step in one.console.remedy(1).steps][-1] == "verify"
        assert [run.kind for run in one.operator.logbook.runs(one.key)] == ["remedy"]


def test_a_remedy_whose_run_is_a_preview_asks_and_can_be_rejected(
    tmp_path: Path, sqlite_path: Path
) -> None:
    with dial_stage(tmp_path, Script(to=3), sqlite_path, autonomy="approve") as one:
        one.tick()
        until_said(one, "it went well: tried")
        stuck = msgspec.structs.replace(one.remedy(1), state="rehearsing")
        one.one.desk.records.save(stuck, actor="ada", action="test")
        one.one.desk.go_on()
        assert one.remedy(1).state == "asking"
        one.console.decide(1, "reject", actor="ada")
        assert one.remedy(1).state == "rejected"


@pytest.mark.parametrize("who", ["paused", "standby"])
def test_nothing_is_copied_while_paused_or_without_the_database_s_lock(
    tmp_path: Path, who: str
) -> None:
    copied: list[Hands] = []
    with copying_stage(tmp_path, copied.append, observing(10**9)) as one:
        one.tick()
        until_said(one, "it could not be tried so far: the size of the database is not known yet")
        if who == "paused":
            one.operator.set_paused(True, actor="ada")
        else:
            one.one.lock.close()
        known(one, 1e6)
        for _ in range(5):
            one.clock.advance(3600.0)
            one.one.desk.previews.consider()
            one.one.desk.previews.join(10)
        assert copied == []


def test_nothing_is_copied_beside_a_remedy_whose_effect_is_measured(tmp_path: Path) -> None:
    copied: list[Hands] = []
    with copying_stage(tmp_path, copied.append, observing(10**9)) as one:
        one.tick()
        until_said(one, "it could not be tried so far")
        records = one.one.desk.records
        other = msgspec.structs.replace(one.remedy(1), id=0, resource="dial:b", run=None)
        other = msgspec.structs.replace(other, state="verifying")
        other = records.save(other, actor="ada", action="test")
        known(one, 1e6)
        one.clock.advance(3600.0)
        one.one.desk.previews.consider()
        one.one.desk.previews.join(10)
        assert copied == []
        records.save(msgspec.structs.replace(other, state="kept"), actor="ada", action="test")
        one.one.desk.previews.consider()
        one.one.desk.previews.join(10)
        assert len(copied) == 1


def test_detaching_ends_a_copy_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    began = threading.Event()
    refused: list[CloneRefusedError] = []

    def copy_on(hands: Hands) -> None:  # until it is refused
        clone = hands.engine.clone
        assert not isinstance(clone, Unsupported)
        while not refused:
            try:
                clone.drop(hands.make_clone().name)
            except CloneRefusedError as error:
                refused.append(error)
            began.set()
        raise refused[0]

    with copying_stage(tmp_path, copy_on, observing(10**9)) as one:
        known(one, 1e6)
        one.tick()
        assert began.wait(10)
        previews = one.one.desk.previews
        one.operator.detach(one.key, actor="ada")
        previews.join(10)
        assert "the database was detached" in str(refused[0])
        assert "took over" not in caplog.text
        assert not list((tmp_path / "data" / "clones").glob("*.db"))


def test_a_copy_grows_no_larger_than_what_is_allowed_for_previews(tmp_path: Path) -> None:
    def copy(hands: Hands) -> None:
        hands.make_clone()

    with copying_stage(tmp_path, copy, observing(500_000)) as one:
        known(one, 1000.0)  # it has grown since
        one.tick()
        until_said(one, "it could not be tried so far")
        assert "500000 allowed" in offer(one).rehearsal


def test_what_cannot_be_tried_is_tried_ever_more_rarely(tmp_path: Path) -> None:
    tried: list[float] = []

    def fail(_: Hands) -> None:
        tried.append(one.clock.now())
        raise DatabaseError("somebody waited for the copy")

    with copying_stage(tmp_path, fail, observing(10**9)) as one:
        known(one, 1000.0)
        one.tick()
        previews = one.one.desk.previews
        for _ in range(60):
            one.clock.advance(7200.0)
            previews.consider()
            previews.join(10)
        waits = [later - earlier for earlier, later in pairwise(tried)]
        assert max(waits[-3:]) >= DAY  # two hours at first


def asking() -> Config:
    return msgspec.structs.replace(
        CONFIG, operate=msgspec.structs.replace(CONFIG.operate, autonomy="approve")
    )


def observing(bytes_max: int) -> Config:
    operate = msgspec.structs.replace(
        CONFIG.operate, autonomy="observe", preview_bytes_max=bytes_max
    )
    return msgspec.structs.replace(CONFIG, operate=operate)
