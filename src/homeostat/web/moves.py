"""A remedy on its way: the five moves as a stepper, and the batches before and after as dots.

Reads a RemedyView; decides nothing. A move that was not made is shown as not made.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any, Literal

from homeostat.logbook.rows import REMEDY_ENDED, Json, RemedyRecord, Step
from homeostat.operate.choose import FOR_A_PERSON
from homeostat.operate.verify import change_in_words
from homeostat.operate.views import RemedyView
from homeostat.web.words import STATES, milliseconds, number, percent, sentence

MoveState = Literal["done", "now", "you", "stopped", "undone", "failed", "ahead"]

NAMES = ("Propose", "Rehearse", "Apply", "Verify")
AT = {
    "waiting": 0,
    "proposed": 1,
    "rehearsing": 1,
    "applying": 2,
    "verifying": 3,
    "reverting": 4,
}
STEP_MOVES = {"rehearse": 1, "apply": 2, "verify": 3, "revert": 4}
ENDINGS = {
    "kept": ("Keep", "done"),
    "reverted": ("Revert", "undone"),
    "ineffective": ("Ineffective", "undone"),
    "reverting": ("Revert", "now"),
    "rejected": ("Rejected", "stopped"),
    "refused": ("Not applied", "stopped"),
    "observed": ("Not done", "stopped"),
    "failed": ("Failed", "failed"),
}
STRIP_WIDTH, STRIP_HEIGHT, STRIP_MARGIN = 280.0, 72.0, 10.0


@dataclass(frozen=True, slots=True)
class Move:
    """One of the five moves.

    Attributes:
        name: what is read aloud and shown.
        state: done, now (under way), you (waits for a person), stopped, undone, failed, ahead.
        said: the state in words, for those who do not see the shape.
        detail: what was seen or measured; may be empty.
        at: when it ended or began, seconds since 1970 UTC; None: not yet.
    """

    name: str
    state: MoveState
    said: str
    detail: str = ""
    at: float | None = None


SAID: dict[MoveState, str] = {
    "done": "done",
    "now": "under way",
    "you": "waiting for you",
    "stopped": "ended here",
    "undone": "undone",
    "failed": "failed",
    "ahead": "not yet",
}


def moves(view: RemedyView) -> list[Move]:
    """Return the five moves of a remedy, the last being how it ended or will end."""
    remedy = view.remedy
    steps = {step.name: step for step in view.steps}
    reached = _reached(remedy, steps)
    found = [_move(index, remedy, steps, reached) for index in range(4)]
    return [*found, _ending(remedy, steps)]


def _reached(remedy: RemedyRecord, steps: dict[str, Step]) -> int:
    """Return the number of the move that is or was the last one entered."""
    if remedy.state in AT:
        return AT[remedy.state]
    entered = [STEP_MOVES[name] for name in steps if name in STEP_MOVES]
    return max(entered, default=1 if remedy.decided and remedy.state != "rejected" else 0)


def _move(index: int, remedy: RemedyRecord, steps: dict[str, Step], reached: int) -> Move:
    step = next((step for name, step in steps.items() if STEP_MOVES.get(name) == index), None)
    state = _state(index, remedy, step, reached)
    at = remedy.proposed if index == 0 else None
    if step is not None:
        at = step.observed or step.intended
    return Move(NAMES[index], state, SAID[state], _detail(index, remedy, step, state), at)


def _state(index: int, remedy: RemedyRecord, step: Step | None, reached: int) -> MoveState:
    asked = (remedy.state == "waiting" and index == 0) or (
        remedy.state == "asking" and index == reached
    )
    if asked:
        return "you"
    if index == 0:
        return "done"
    if step is not None and (step.state == "failed" or _turned_back(index, step)):
        return "failed"
    if step is not None and step.state == "done":
        return "stopped" if index == 1 and _spoke_against(remedy, step) else "done"
    previewed = step is not None and remedy.state in FOR_A_PERSON  # tried before it is allowed
    under_way = index == reached and remedy.state not in REMEDY_ENDED
    return "now" if previewed or under_way else "ahead"


def _spoke_against(remedy: RemedyRecord, step: Step) -> bool:
    return remedy.state == "refused" or not step.observation.get("ok", True)


def _turned_back(index: int, step: Step) -> bool:
    """Return whether applying gave up: its observation then holds a reason."""
    return index == 2 and "reason" in step.observation


def _detail(index: int, remedy: RemedyRecord, step: Step | None, state: MoveState) -> str:
    if index == 0:
        return _decision(remedy)
    if step is None:
        return ""
    reason = str(step.observation.get("reason", ""))
    if index == 1:
        return reason
    if index == 2:
        return reason if state == "failed" else change_of(remedy)
    if state == "now":
        batches = step.intent.get("batches")
        return f"{batches} batches, before against after" if batches else ""
    return measured(remedy.result)


def _decision(remedy: RemedyRecord) -> str:
    if not remedy.decided_by or remedy.state == "rejected":
        return ""
    return "by itself" if remedy.decided_by == "homeostat" else f"approved by {remedy.decided_by}"


def _ending(remedy: RemedyRecord, steps: dict[str, Step]) -> Move:
    if remedy.state == "asking":
        at_the_end: MoveState = "you" if "revert" in steps else "ahead"
        return Move("Keep or revert", at_the_end, SAID[at_the_end])
    name, ending = ENDINGS.get(remedy.state, ("Keep or revert", "ahead"))
    state: MoveState = ending  # type: ignore[assignment]
    if remedy.state == "failed" and "revert" in steps:
        name = "Undone"
    said = STATES.get(remedy.state, "").lower() if state != "ahead" else SAID["ahead"]
    return Move(name, state, said, "", remedy.ended)


def change_of(remedy: RemedyRecord) -> str:
    """Return what changed, as `from -> to`, when the remedy says so."""
    old, new = remedy.parameters.get("from"), remedy.parameters.get("to")
    if isinstance(old, int | float) and isinstance(new, int | float):
        return f"{number(old)} \u2192 {number(new)}"
    return ""


def measured(result: Json) -> str:
    """Return the measured effect in a few words, or nothing before it was measured."""
    before, after = result.get("value_before"), result.get("value_after")
    if not isinstance(before, int | float) or not isinstance(after, int | float):
        return ""
    numbers = f"{_quantity(before, result)} \u2192 {_quantity(after, result)}"
    return f"{numbers} ({change_in_words((after - before) / before)})" if before > 0 else numbers


def _quantity(value: float, result: Json) -> str:
    """Return a measured value with the unit that the result names, if it names one."""
    unit = str(result.get("unit", ""))
    return milliseconds(value) if unit == "ms" else f"{number(value)} {unit}".strip()


@dataclass(frozen=True, slots=True)
class Dot:
    """A batch in the strip, in units of the drawing."""

    x: float
    y: float
    side: Literal["before", "after"]


@dataclass(frozen=True, slots=True)
class Strip:
    """Batches before and after a change, drawn to one scale that begins at zero."""

    dots: list[Dot]
    before_y: float
    after_y: float
    middle: float
    before: str
    after: str
    caption: str
    width: float = STRIP_WIDTH
    height: float = STRIP_HEIGHT


def strip(result: Json) -> Strip | None:
    """Return the drawing of what was measured, or None when nothing was."""
    old, new = _values(result.get("before")), _values(result.get("after"))
    if not old or not new:
        return None
    top = max(*old, *new) or 1.0

    span = STRIP_HEIGHT - 2 * STRIP_MARGIN

    def height_of(value: float) -> float:
        return round(STRIP_HEIGHT - STRIP_MARGIN - value / top * span, 1)

    pitch = (STRIP_WIDTH - 2 * STRIP_MARGIN) / (len(old) + len(new))
    sides = [*(("before", v) for v in old), *(("after", v) for v in new)]
    dots = [
        Dot(round(STRIP_MARGIN + pitch * (i + 0.5), 1), height_of(value), side)  # type: ignore[arg-type]
        for i, (side, value) in enumerate(sides)
    ]
    before = float(result.get("value_before", statistics.median(old)))
    after = float(result.get("value_after", statistics.median(new)))
    return Strip(
        dots,
        height_of(before),
        height_of(after),
        round(STRIP_MARGIN + pitch * len(old), 1),
        _quantity(before, result),
        _quantity(after, result),
        _caption(result, len(old), len(new)),
    )


def _values(batches: Any) -> list[float]:
    if not isinstance(batches, list):
        return []
    values = [batch.get("value") for batch in batches if isinstance(batch, dict)]
    return [float(value) for value in values if isinstance(value, int | float)]


def _caption(result: Json, before: int, after: int) -> str:
    parts = [f"{before} batches before, {after} after"]
    mechanism, chance = result.get("mechanism"), result.get("probability")
    if isinstance(mechanism, int | float):
        parts.append(f"the change itself seen at work in {percent(mechanism)} of them")
    if isinstance(chance, int | float):
        parts.append(f"chance of this without an effect {number(chance, 2)}")
    return sentence("; ".join(parts)) + "."
