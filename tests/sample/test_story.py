"""What the demo's terminal tells, whatever the moment at which it asks the operator."""

from __future__ import annotations

import threading

from homeostat.clock import ManualClock
from homeostat.logbook.rows import Finding, RemedyRecord
from homeostat.operate.views import RemedyView, Status
from homeostat.sample.story import CREATE_INDEX, GROW_POOL, Story
from tests.logbook.making import remedy

ENDINGS = ("kept", "kept", "ineffective", "kept")  # of the four chapters


class FastClock(ManualClock):
    """Time that passes as soon as somebody waits for it."""

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.advance(seconds)
        return event.is_set()


class Hurrying:
    """An operator whose remedy takes a move between any two answers, as on a busy machine."""

    def __init__(self) -> None:
        self._made: list[RemedyRecord] = []
        self._moves: list[str] = []

    def trouble(self) -> None:
        number = len(self._made)
        if not self._moves and number < len(ENDINGS):
            self._moves = ["not found yet", "proposed", "applying", "verifying", ENDINGS[number]]

    def remedies(self) -> list[RemedyRecord]:
        state = self._moves.pop(0) if self._moves else ""
        if state == "proposed":
            key = GROW_POOL if self._made else CREATE_INDEX
            self._made.append(remedy(id=len(self._made) + 1, key=key))
        elif state in {"applying", "verifying", *ENDINGS}:
            last = self._made[-1]
            self._made[-1] = remedy(id=last.id, key=last.key, state=state, verdict=f"{last.id}th")
        return list(self._made)

    def findings(self) -> list[Finding]:
        return []

    def status(self) -> Status:
        return Status(
            version="", state="ok", detail="", pid=1, epoch=1, uptime_seconds=1.0,
            databases=[], next_command="",
        )  # fmt: skip

    def decide(self, number: int, decision: str) -> RemedyView:
        raise AssertionError((number, decision))

    def set_autonomy(self, remedy: str, autonomy: str) -> None:
        assert (remedy, autonomy) == (GROW_POOL, "approve")


def test_every_ending_is_told_in_its_chapter() -> None:
    operator = Hurrying()
    told: list[tuple[str, str]] = []
    Story(
        console=operator,
        switch=lambda _name, on, _strength: operator.trouble() if on else None,
        say=lambda kind, text: told.append((kind, text)),
        keys=None,
        clock=FastClock(),
        stop=threading.Event(),
    ).tell()
    endings = [(kind, text) for kind, text in told if kind in {"kept", "ineffective"}]
    assert endings == [(state, f"{number}th") for number, state in enumerate(ENDINGS, 1)]
