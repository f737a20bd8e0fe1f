"""What may not act yet is rehearsed, so that people decide by what was shown."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from homeostat.config import Config
from homeostat.driver import sqlite
from homeostat.errors import DatabaseError
from homeostat.operate.insights import ProposedRow
from homeostat.operate.room import Room
from tests.operate.stage import CONFIG, DialWrong, Quiet, Script, Stage, TurnDial, dial_stage, stage
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


def observing(bytes_max: int) -> Config:
    operate = msgspec.structs.replace(
        CONFIG.operate, autonomy="observe", preview_bytes_max=bytes_max
    )
    return msgspec.structs.replace(CONFIG, operate=operate)
