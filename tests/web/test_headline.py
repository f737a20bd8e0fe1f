"""One line tells a person on call what matters most: what was found, done, and asked of them."""

from __future__ import annotations

import time

import msgspec
import pytest

from homeostat.web.headline import Headline, headline
from tests.web import scenes
from tests.web.fake import FakeConsole


def shown(console: FakeConsole) -> Headline:
    status = console.status()
    return headline(status, status.databases[0], console.findings(), console.remedies())


@pytest.fixture
def console() -> FakeConsole:
    return FakeConsole(time.time)


def test_what_is_not_measured_is_not_called_well(console: FakeConsole) -> None:
    line = shown(console)
    assert line.tone == "quiet"
    assert "not known" in line.title
    assert "No agent has reported yet." in line.detail


def test_well_names_the_promise_and_what_was_done_last(console: FakeConsole) -> None:
    scenes.kept(console)
    line = shown(console)
    assert (line.tone, line.title) == (
        "good",
        "Nothing hurts: p99 is 21 ms, within the promised 50 ms.",
    )
    assert "Grow the pool of shop from 4 to 8 connections. It helped and was kept." in line.detail


def test_a_decision_that_waits_comes_before_the_trouble_itself(console: FakeConsole) -> None:
    scenes.waiting(console)
    line = shown(console)
    assert (line.tone, line.title) == ("you", "Grow the pool of shop from 4 to 8 connections?")
    assert "is exhausted" in line.detail
    assert "held while idle" in line.detail
    assert line.remedy == 1


def test_who_decides_is_told_that_the_same_was_tried_before(console: FakeConsole) -> None:
    scenes.waiting(console)
    assert "Tried before" not in shown(console).detail
    console.put_remedy(scenes.remedy(console, "ineffective", 0))
    assert "Tried before: it did not help and was undone." in shown(console).detail


def test_what_is_being_done_is_said_with_what_was_found(console: FakeConsole) -> None:
    scenes.trouble(console)
    line = shown(console)
    assert line.tone == "busy"
    assert "applied, measuring whether it helps" in line.title
    assert "is exhausted" in line.detail


def test_where_remedies_only_observe_the_offer_is_made(console: FakeConsole) -> None:
    scenes.observed(console)
    line = shown(console)
    assert (line.tone, line.remedy) == ("bad", 1)
    assert "would grow the pool of shop from 4 to 8 connections, but only observes" in line.detail


def test_an_offer_ends_with_its_finding(console: FakeConsole) -> None:
    scenes.observed(console)
    console.rows_findings.clear()
    assert shown(console).remedy is None


def test_what_was_tried_without_help_is_told_with_the_holder(console: FakeConsole) -> None:
    scenes.undone(console)
    line = shown(console)
    assert line.tone == "bad"
    assert "nightly-export" in line.detail
    assert "It did not help and was undone." in line.detail
    assert "End or shorten the lock" in line.detail


def test_an_unknown_cause_is_called_unknown(console: FakeConsole) -> None:
    scenes.trouble(console)
    console.rows_remedies.clear()
    row = scenes.finding(console)
    console.put_finding(msgspec.structs.replace(row, cause="unknown"))
    assert "The cause is not known." in shown(console).detail


def test_an_interrupted_remedy_asks_with_its_reason(console: FakeConsole) -> None:
    scenes.trouble(console)
    console.put_remedy(
        scenes.remedy(console, "asking", verdict="whether the change is in force cannot be seen")
    )
    line = shown(console)
    assert (line.tone, line.remedy) == ("you", 1)
    assert "grow the pool of shop from 4 to 8 connections" in line.title
    assert "Whether the change is in force cannot be seen." in line.detail


@pytest.mark.parametrize(("state", "badge"), [("unreachable", "Unreachable"), ("ok", "Logbook")])
def test_what_blocks_everything_comes_first(console: FakeConsole, state: str, badge: str) -> None:
    scenes.waiting(console)
    console.fields = {"state": state}
    console.state = "logbook" if badge == "Logbook" else "ok"
    line = shown(console)
    assert (line.tone, line.badge) == ("bad", badge)


def test_p99_past_the_promise_without_a_finding_is_not_called_well(console: FakeConsole) -> None:
    console.put_tick(scenes.tick(console, p99=80))
    assert shown(console).tone == "quiet"
