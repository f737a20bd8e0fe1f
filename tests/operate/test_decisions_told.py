"""What was found and decided, told to people: the report, the audit trail, search."""

from __future__ import annotations

from pathlib import Path

import pytest

from homeostat.driver import sqlite
from homeostat.errors import NotFoundError
from tests.operate.stage import Script, Stage, dial_stage
from tests.servers import wait_until

DAY = 86_400.0
UNTRIED = (
    "not rehearsed yet; once approved it is, as a dry run, before anything changes (for tests)"
)


def rehearsed(one: Stage, *, start: float) -> None:
    """Wait until the rehearsal of what was proposed since then is over: it runs by itself."""

    def over() -> bool:
        proposed = one.console.proposals(one.key, start=start, end=one.clock.now() + 1).proposed
        return bool(proposed) and not proposed[0].rehearsal.startswith("under way")

    wait_until(over, 10.0, "the end of the rehearsal")


def test_observe_mode_tells_what_it_would_have_done(tmp_path: Path, sqlite_path: Path) -> None:
    with dial_stage(tmp_path, Script(to=3), sqlite_path, autonomy="observe") as one:
        one.tick()
        one.tick(seconds=600.0)
        now = one.clock.now()
        rehearsed(one, start=now - DAY)
        found = one.console.proposals(one.key, start=now - DAY, end=now + 1)
        assert (found.autonomy, found.since) == ("observe", one.one.row.attached)
        [row] = found.found
        assert (row.rule, row.count, row.open_now) == ("dial-wrong", 1, 1)
        assert row.open_seconds == pytest.approx(600.0, abs=2)
        [offer] = found.proposed
        assert (offer.title, offer.state, offer.finding) == ("turn to 3", "observed", row.newest)
        assert offer.rehearsal in {"it went well: tried", UNTRIED}
        assert offer.decision == "Approve or reject it."
        assert one.dial() is None  # told, not done
        assert one.console.proposals(one.key, start=0.0, end=now - DAY).proposed == []


def test_what_was_done_is_told_with_its_rehearsal_and_verdict(
    tmp_path: Path, sqlite_path: Path
) -> None:
    with dial_stage(tmp_path, Script(), sqlite_path) as one:
        one.tick()
        one.until_over()
        now = one.clock.now()
        [done] = one.console.proposals(one.key, start=now - DAY, end=now + 1).proposed
        assert (done.state, done.rehearsal) == ("kept", "it went well: tried")
        assert done.benefit == one.remedy().verdict


def test_a_chain_that_was_tampered_with_is_said(tmp_path: Path, sqlite_path: Path) -> None:
    with dial_stage(tmp_path, Script(), sqlite_path, autonomy="observe") as one:
        one.tick()
        rehearsed(one, start=0.0)
        trail = one.console.trail(database=one.key, limit=1)
        assert (trail.verified, trail.broken) == (trail.total, "")
        assert len(trail.entries) == 1
        older = one.console.trail(before=trail.entries[0].sequence)
        assert older.entries[-1].action == "attach"
        assert older.entries[0].sequence == trail.total - 1
        wire = sqlite.connect(tmp_path / "data" / "logbook.db")
        wire.execute("DROP TRIGGER audit_keeps")
        wire.execute(
            "UPDATE audit SET body = replace(body, 'homeostat', 'nobody') WHERE sequence=1"
        )
        wire.close()
        one.clock.advance(61.0)  # the answer is kept for a minute
        broken = one.console.trail()
        assert broken.verified is None
        assert "Audit entry 1" in broken.broken


def test_the_chain_is_followed_once_a_minute_and_says_when(
    tmp_path: Path, sqlite_path: Path
) -> None:
    with dial_stage(tmp_path, Script(), sqlite_path) as one:
        first = one.console.trail()
        one.tick()
        one.until_over()
        later = one.console.trail()
        assert later.total > first.total
        assert (later.verified, later.verified_at) == (first.verified, first.verified_at)
        one.clock.advance(61.0)
        again = one.console.trail()
        assert (again.verified, again.verified_at) == (again.total, one.clock.now())
        story = one.console.story(one.remedy().id)
        assert [entry.subject for entry in story] == ["remedy 1"] * len(story)
        assert story[0].action == "propose"
        assert story[-1].action == "verify: kept"


def test_search_finds_by_all_words_the_title_first(tmp_path: Path, sqlite_path: Path) -> None:
    with dial_stage(tmp_path, Script(), sqlite_path, autonomy="observe") as one:
        one.tick()
        search = one.console.search
        assert [hit.kind for hit in search("DIAL wrong").hits] == ["finding", "rule", "remedy"]
        setting = search("monitor.promise_ms").hits[0]
        assert setting.kind == "setting"
        assert "Promised p99" in setting.detail
        assert search("dial nonsense").hits == []
        assert search("").hits == []
        assert search("turn", limit=1).more > 0
        with pytest.raises(NotFoundError):
            search("dial", database="nothing")
