"""The demo's troubles as its operator knows them: wishes go out by a line, states come in by one.

The traffic process is what breaks things; it is asked by way of the demo's first process
(`troupe`), and only what it answers is shown. Every change is written to the audit log.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import msgspec

from homeostat.clock import Clock
from homeostat.errors import HomeostatError, NotFoundError, OperateError
from homeostat.operate.views import Console
from homeostat.sample.traffic import Command
from homeostat.sample.troubles import OUTCOMES, TROUBLES, WORDS
from homeostat.web.troubles import TroubleView

ANSWER_SECONDS_MAX = 5.0
DEMO = "demo"  # who switched what no person did: the story


class _Answer(msgspec.Struct, frozen=True):
    """The state of a trouble, or why a command could not be followed."""

    trouble: str = ""
    on: bool = False
    strength: float | None = None
    error: str = ""


class TroubleBoard:
    """Implements `web.troubles.Troubles`; safe to use from any thread."""

    def __init__(self, *, say: Callable[[bytes], None], clock: Clock) -> None:
        """Know nothing yet.

        Args:
            say: writes a line to who passes it on to the traffic.
            clock: tells how long an answer may take.
        """
        self._say = say
        self._clock = clock
        self._console: Console | None = None
        self._changed = threading.Condition()
        self._states: dict[str, _Answer] = {}
        self._answers = 0
        self._failure = ""  # of the newest answer
        self._actors: dict[str, str] = {}  # of wishes that are not answered

    def attach(self, console: Console) -> None:
        """Take whose audit log tells of changes."""
        self._console = console

    def list(self) -> list[TroubleView]:
        """Return all troubles as they are; none as long as the traffic has not told of any."""
        with self._changed:
            states = dict(self._states)
        return [_view(states[name]) for name in TROUBLES if name in states]

    def switch(self, name: str, *, on: bool, actor: str) -> TroubleView:
        """Switch one; return it as it is then.

        Raises:
            NotFoundError: there is no such trouble, or no traffic.
            OperateError: the traffic did not answer, or could not do it.
        """
        with self._changed:
            if name not in self._states:
                known = ", ".join(self._states) or "none, since no traffic runs"
                raise NotFoundError(f"No trouble has this name. There are: {known}.", where=name)
            self._actors[name] = actor
            before = self._answers
            self._say(msgspec.json.encode(Command(name, on)))
            until = self._clock.monotonic() + ANSWER_SECONDS_MAX
            while self._answers == before or (self._states[name].on != on and not self._failure):
                left = until - self._clock.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    break
            state, failure = self._states[name], self._failure
        if state.on != on:
            message = "The sample app did not switch it. Look into traffic.log and try again."
            raise OperateError(message, where=name, detail=failure)
        return _view(state)

    def hear(self, line: bytes) -> None:
        """Take what the traffic said of a trouble; anything else is not for us."""
        try:
            state = msgspec.json.decode(line, type=_Answer)
        except msgspec.MsgspecError:
            return
        if state.trouble not in TROUBLES and not state.error:
            return
        with self._changed:
            self._answers += 1
            self._failure = state.error
            self._changed.notify_all()
            if state.error:
                return
            before = self._states.get(state.trouble)
            self._states[state.trouble] = state
            actor = self._actors.pop(state.trouble, DEMO)
        was_on = before is not None and before.on
        if was_on != state.on or (state.on and before != state):
            self._note(state, actor)

    def _note(self, state: _Answer, actor: str) -> None:
        if self._console is None:
            return
        action = "trouble on" if state.on else "trouble off"
        try:
            self._console.note(action, state.trouble, {"strength": state.strength}, actor=actor)
        except HomeostatError:
            return  # a logbook that cannot be written is a finding of its own


def _view(state: _Answer) -> TroubleView:
    name = state.trouble
    return TroubleView(name, WORDS[name], OUTCOMES[name], state.on, state.strength)
