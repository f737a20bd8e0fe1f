"""What the demo's terminal tells, whatever the moment at which it asks the operator."""

from __future__ import annotations

import threading

from homeostat.clock import ManualClock
from homeostat.logbook.rows import Finding, RemedyRecord
from homeostat.operate.views import RemedyView, Status
from homeostat.sample.story import (
    CHAPTER_SECONDS_MAX,
    CREATE_INDEX,
    GROW_POOL,
    POLL_SECONDS,
    Story,
)
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


class Slow(Hurrying):
    """An operator that measures its first remedy for longer than a chapter takes."""

    def __init__(self, *, answers: int) -> None:
        super().__init__()
        self._answers = answers

    def trouble(self) -> None:
        self._moves = ["not found yet", "proposed", *["verifying"] * self._answers, "kept"]


def told_by(operator: Hurrying) -> list[tuple[str, str]]:
    told: list[tuple[str, str]] = []
    stop = threading.Event()

    def say(kind: str, text: str) -> None:
        told.append((kind, text))
        if "kept" in kind or "in time" in text:
            stop.set()

    Story(
        console=operator,
        switch=lambda _name, on, _strength: operator.trouble() if on else None,
        say=say,
        keys=None,
        clock=FastClock(),
        stop=stop,
    ).tell()
    return told


def test_what_is_still_under_way_is_named_and_waited_for() -> None:
    patient = int(1.5 * CHAPTER_SECONDS_MAX / POLL_SECONDS)
    told = told_by(Slow(answers=patient))
    late = [text for _, text in told if "takes long" in text]
    assert len(late) == 1
    assert "is being measured" in late[0]
    assert told[-1] == ("kept", "1th"), "it was waited for"


def test_the_story_ends_open_when_even_that_is_not_over() -> None:
    told = told_by(Slow(answers=1_000_000))
    text = next(text for _, text in told if "in time" in text)
    assert text.startswith("nothing was decided in time: ")
    assert "is being measured" in text
    assert told_by(NoRemedy())[-2][1] == "nothing was decided in time: no trouble is found"


class NoRemedy(Hurrying):
    """An operator that finds nothing."""

    def trouble(self) -> None:
        pass
