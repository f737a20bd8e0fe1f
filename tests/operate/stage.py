"""A real operator on a real file, with a clock that the test moves and a remedy that it directs."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from homeostat.clock import ManualClock
from homeostat.config import Config, OperateConfig
from homeostat.logbook.rows import Finding, Json, RemedyRecord
from homeostat.main import prepare_data
from homeostat.measure import Sample, Severity
from homeostat.operate.attached import Attached
from homeostat.operate.choose import UNDER_WAY
from homeostat.operate.console import OperatorConsole
from homeostat.operate.operator import Operator
from homeostat.operate.probe import Watched
from homeostat.operate.remedy import (
    Declined,
    Hands,
    Proposal,
    Rehearsal,
    Rehearsed,
    Resource,
    Seen,
    Undo,
)
from homeostat.operate.room import Room
from homeostat.operate.rule import Judgement, View
from homeostat.operate.verify import Batch, Demand
from tests.servers import wait_until

APPLICATION = "shop"
SECONDS = 10.0
HARMLESS = Demand("mean latency", "ms", 0.0, "")
CONFIG = Config(
    operate=OperateConfig(
        autonomy="auto",
        lease_seconds=1e9,  # the test moves the clock, nobody renews
        batch_seconds=1.0,
        settle_seconds=1.0,
        cooldown_seconds=0.0,
        retries_max=0,
    )
)


@dataclass
class Script:
    """What the test wants to happen; `raising` names methods of the remedy that fail once."""

    wrong: bool = True
    to: int = 1
    raising: dict[str, Exception] = field(default_factory=dict)
    unseen: set[str] = field(default_factory=set)  # looks that never see what they look for
    applied: int = 0
    demand: Demand = HARMLESS
    batches: dict[int | None, Batch] = field(
        default_factory=lambda: {None: Batch(10.0, 100.0)}
    )  # what is measured where the dial stands so; None: elsewhere

    def play(self, method: str) -> None:
        error = self.raising.pop(method, None)
        if error is not None:
            raise error


@dataclass(frozen=True)
class Quiet:
    """A probe that reads nothing; rules judge after it."""

    name: str = "performance"
    help: str = "for tests"
    interval_seconds: float = 1.0

    def read(self, watched: Watched) -> Iterable[Sample]:
        assert watched.identity.key
        return ()


@dataclass(frozen=True)
class DialWrong:
    script: Script
    name: str = "dial-wrong"
    help: str = "for tests"
    after: str = "performance"
    clear_ticks: int = 1

    def judge(self, view: View) -> Iterable[Judgement]:
        if self.script.wrong:
            yield Judgement(view.subject("dial", "main"), Severity.WARNING, "the dial is wrong")


@dataclass(frozen=True)
class TurnDial:
    """Sets a setting of an application; harmless, so it is kept unless the script says else."""

    script: Script
    key: str = "turn-dial"
    help: str = "for tests"
    rules: Sequence[str] = ("dial-wrong",)
    undo: Undo = "exact"
    rehearsal: Rehearsal = "dry run"
    rehearsal_reason: str = "for tests"

    @property
    def demand(self) -> Demand:
        return self.script.demand

    def propose(self, finding: Finding, view: View) -> Proposal | Declined:
        self.script.play("propose")
        to = self.script.to
        return Proposal(
            Resource("dial", "main"),
            f"turn to {to}",
            finding.what,
            {"to": to},
            {},
            str(to),
            view.at,
        )

    def rehearse(self, parameters: Json, hands: Hands) -> Rehearsed:
        self.script.play("rehearse")
        return Rehearsed(
            ok=hands.settings_of(APPLICATION).values.get("dial") != parameters["to"], reason="tried"
        )

    def undo_of(self, parameters: Json, hands: Hands) -> Json:
        assert parameters
        return {"values": dict(hands.settings_of(APPLICATION).values)}

    def apply(self, parameters: Json, hands: Hands) -> None:
        self.script.play("apply")
        hands.set_settings(APPLICATION, {"dial": parameters["to"]})
        self.script.applied += 1

    def observe(self, parameters: Json, hands: Hands) -> Seen:
        self.script.play("observe")
        seen = hands.settings_of(APPLICATION).values.get("dial") == parameters["to"]
        return "done" if seen and "observe" not in self.script.unseen else "not done"

    def revert(self, parameters: Json, undo: Json, hands: Hands) -> None:
        assert parameters
        self.script.play("revert")
        hands.set_settings(APPLICATION, undo["values"])

    def observe_undone(self, parameters: Json, undo: Json, hands: Hands) -> Seen:
        assert parameters
        seen = dict(hands.settings_of(APPLICATION).values) == undo["values"]
        return "done" if seen and "observe_undone" not in self.script.unseen else "not done"

    def measure(self, parameters: Json, view: View, *, start: float, end: float) -> Batch | None:
        assert parameters
        self.script.play("measure")
        batches = self.script.batches
        batch = batches[
            parameters["to"] if self.script.applied and parameters["to"] in batches else None
        ]
        return batch if start < end <= view.at else None

    def explain(self, parameters: Json, view: View) -> str:
        assert parameters
        assert view
        return ""


class Stage:
    """An operator with one database; time passes only where the test says so."""

    def __init__(
        self, data: Path, url: str, rooms: Sequence[Room], config: Config, clock: ManualClock
    ) -> None:
        prepare_data(data)
        self.clock = clock
        self.rooms = rooms
        self.operator = Operator(data, rooms=rooms, config=config, clock=self.clock)
        self.console = OperatorConsole(self.operator)
        self.key = self.operator.attach(url).key

    @property
    def one(self) -> Attached:
        return self.operator.attached[self.key]

    def tick(self, probe: str = "performance", *, seconds: float = 1.0) -> None:
        """Let time pass and a probe read; its rules judge, the desk decides."""
        self.clock.advance(seconds)
        [found] = [p for room in self.rooms for p in room.probes if p.name == probe]
        self.one.watch.tick(found)

    def remedy(self, number: int = 0) -> RemedyRecord:
        """Return a remedy; the newest by default."""
        if number:
            return self.console.remedy(number).remedy
        return self.console.remedies()[0]

    def until(self, *states: str, number: int = 0) -> RemedyRecord:
        """Let time pass until a remedy has a state."""

        def reached() -> bool:
            if self.remedy(number).state in states:
                return True
            self.clock.advance(0.5)
            return False

        wait_until(reached, SECONDS, f"{states}; it is {self.remedy(number)}")
        return self.remedy(number)

    def until_over(self, number: int = 0) -> RemedyRecord:
        """Let time pass until nothing carries a remedy any more."""
        wait_until(lambda: not self._moving(number), SECONDS, f"the end of {self.remedy(number)}")
        return self.remedy(number)

    def _moving(self, number: int) -> bool:
        self.clock.advance(0.5)
        return self.carrying() or self.remedy(number).state in UNDER_WAY

    def carrying(self) -> bool:
        """Return whether a thread carries a remedy."""
        return any(t.name.startswith("remedy-") for t in threading.enumerate())

    def dial(self) -> object:
        """Return what is set."""
        return self.one.watch.desired.of(APPLICATION).values.get("dial")


@contextmanager
def stage(
    data: Path,
    url: str,
    rooms: Sequence[Room],
    config: Config = CONFIG,
    clock: ManualClock | None = None,
) -> Iterator[Stage]:
    made = Stage(data, url, rooms, config, clock or ManualClock())
    try:
        yield made
    finally:
        made.operator.stop()


@contextmanager
def dial_stage(
    directory: Path,
    script: Script,
    url: Path | str,
    *,
    config: Config = CONFIG,
    clock: ManualClock | None = None,
    **operate: object,
) -> Iterator[Stage]:
    """Run an operator whose only remedy turns a dial, as the script says."""
    config = msgspec.structs.replace(
        config, operate=msgspec.structs.replace(config.operate, **operate)
    )
    room = Room("dial", probes=(Quiet(),), rules=(DialWrong(script),), remedies=(TurnDial(script),))
    with stage(directory / "data", str(url), [room], config, clock) as made:
        yield made
