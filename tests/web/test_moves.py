"""The five moves show how far a remedy came, and what was measured."""

from __future__ import annotations

import time
from typing import Any

import pytest

from homeostat.web.moves import Move, change_of, measured, moves, strip
from tests.web import scenes
from tests.web.fake import FakeConsole


@pytest.fixture
def console() -> FakeConsole:
    return FakeConsole(time.time)


def shown(
    console: FakeConsole, state: str, *names: str, last_open: bool = False, **changes: Any
) -> list[Move]:
    console.put_remedy(
        scenes.remedy(console, state, **changes),
        *scenes.steps(console, *names, last_open=last_open),
    )
    found = moves(console.remedy(1))
    assert len(found) == 5
    return found


@pytest.mark.parametrize(
    ("state", "steps", "is_open", "expected", "ending"),
    [
        ("waiting", (), False, "you ahead ahead ahead ahead", "Keep or revert"),
        ("observed", (), False, "done ahead ahead ahead stopped", "Not done"),
        ("rejected", (), False, "done ahead ahead ahead stopped", "Rejected"),
        ("proposed", (), False, "done now ahead ahead ahead", "Keep or revert"),
        ("rehearsing", ("rehearse",), True, "done now ahead ahead ahead", "Keep or revert"),
        ("refused", ("rehearse",), False, "done stopped ahead ahead stopped", "Not applied"),
        ("applying", ("rehearse", "apply"), True, "done done now ahead ahead", "Keep or revert"),
        (
            "verifying",
            ("rehearse", "apply", "verify"),
            True,
            "done done done now ahead",
            "Keep or revert",
        ),
        ("asking", ("rehearse", "apply"), True, "done done you ahead ahead", "Keep or revert"),
        (
            "asking",
            ("rehearse", "apply", "verify", "revert"),
            True,
            "done done done done you",
            "Keep or revert",
        ),
        ("kept", ("rehearse", "apply", "verify"), False, "done done done done done", "Keep"),
        (
            "reverting",
            ("rehearse", "apply", "verify", "revert"),
            True,
            "done done done done now",
            "Revert",
        ),
        (
            "ineffective",
            ("rehearse", "apply", "verify", "revert"),
            False,
            "done done done done undone",
            "Ineffective",
        ),
    ],
)
def test_each_state_has_its_place(
    console: FakeConsole,
    state: str,
    steps: tuple[str, ...],
    is_open: bool,  # noqa: FBT001
    expected: str,
    ending: str,
) -> None:
    found = shown(console, state, *steps, last_open=is_open)
    assert " ".join(move.state for move in found) == expected
    assert found[-1].name == ending


def test_applying_that_gave_up_is_shown_as_failed_with_its_reason(console: FakeConsole) -> None:
    rehearse, apply, revert = scenes.steps(console, "rehearse", "apply", "revert")
    apply = type(apply)(
        run=1,
        number=2,
        name="apply",
        state="done",
        epoch=1,
        observation={"reason": "it could not be applied: gone"},
        intended=1.0,
        observed=2.0,
    )
    console.put_remedy(scenes.remedy(console, "failed"), rehearse, apply, revert)
    found = moves(console.remedy(1))
    assert [move.state for move in found] == ["done", "done", "failed", "ahead", "failed"]
    assert found[2].detail == "it could not be applied: gone"


def test_the_change_and_its_effect_are_numbers(console: FakeConsole) -> None:
    scenes.kept(console)
    found = moves(console.remedy(1))
    assert found[2].detail == "4 \u2192 8"
    assert found[3].detail == "88 ms \u2192 5.2 ms (-94%)"


def test_who_decided_is_named(console: FakeConsole) -> None:
    assert shown(console, "verifying", decided_by="alice")[0].detail == "approved by alice"
    assert shown(console, "verifying", decided_by="homeostat")[0].detail == "by itself"


def test_nothing_is_drawn_before_it_was_measured(console: FakeConsole) -> None:
    assert strip({}) is None
    assert strip({"before": [], "after": []}) is None
    assert measured({}) == ""
    assert change_of(scenes.remedy(console, "waiting", parameters={})) == ""


def test_batches_are_drawn_to_one_scale_from_zero(console: FakeConsole) -> None:
    drawn = strip(
        {
            "before": [{"value": 100.0}, {"value": 50.0}],
            "after": [{"value": 0.0}],
            "value_before": 75.0,
            "value_after": 0.0,
            "unit": "ms",
        }
    )
    assert drawn is not None
    top, middle, bottom = (dot.y for dot in drawn.dots)
    assert top < middle < bottom
    assert middle == (top + bottom) / 2
    assert (drawn.before, drawn.after) == ("75 ms", "0.0 ms")


def test_a_unit_that_was_not_named_is_not_made_up() -> None:
    assert measured({"value_before": 2.0, "value_after": 1.0}) == "2 \u2192 1 (-50%)"
    assert measured({"value_before": 1437.0, "value_after": 1.7}).endswith("(-99.8%)")  # never all
