"""Troubles of a statement in the running demo: true cause, true outcome."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from homeostat.logbook.rows import RemedyRecord
from homeostat.secret import split_password
from tests.acceptance.demo_process import USERS, Demo, demo
from tests.servers import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timed]
SECONDS = 90.0
ENDS = ("kept", "reverted", "ineffective", "refused", "failed", "waiting")
ON_BOTH = ("sqlite", pytest.param("postgresql", marks=pytest.mark.long))


@pytest.fixture
def where(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the demo's arguments for a database of the engine named."""
    if request.param == "sqlite":
        return ["--users", USERS]
    url, password = split_password(request.getfixturevalue("pg_database"))
    monkeypatch.setenv("PGPASSWORD", password or "")
    return ["--users", USERS, "--engine", "postgresql", "--url", url]


def ended(running: Demo, key: str) -> RemedyRecord:
    """Wait until the first remedy of a key is over, or waits for a person."""
    client = running.client()

    def there() -> list[RemedyRecord]:
        return [one for one in client.remedies() if one.key == key and one.state in ENDS]

    wait_until(there, SECONDS, f"the end of {key}:\n{running.text}")
    return there()[-1]


@pytest.mark.parametrize("where", ON_BOTH, indirect=True)
def test_an_index_that_would_hurt_is_refused_once(where: list[str], tmp_path: Path) -> None:
    with demo(tmp_path / "data", *where, "--trouble", "hurtful-index") as running:
        running.until(r"found .*find_reading", SECONDS)
        running.until(r"cause .*missing index.*none is found by score", SECONDS)
        assert not re.search(r"cause +unknown", running.text), running.text
        record = ended(running, "create-index")
        assert record.state == "refused"
        assert "net of writes" in record.verdict or "became slower" in record.verdict

        def rests() -> bool:
            told = [one.evidence.get("not_done", {}) for one in running.client().findings()]
            return any("refused on like evidence" in one.get("create-index", "") for one in told)

        wait_until(rests, SECONDS, "the reason why it is not tried again")
        assert [one.state for one in running.client().remedies()] == ["refused"]


@pytest.mark.long
@pytest.mark.parametrize("where", ["sqlite", "postgresql"], indirect=True)
def test_statistics_that_mislead_are_refreshed(where: list[str], tmp_path: Path) -> None:
    with demo(tmp_path / "data", *where, "--trouble", "stale-statistics") as running:
        running.until(r"found .*list_notices", SECONDS)
        running.until(r"cause .*stale statistics", SECONDS)
        if "--engine" in where:  # ANALYZE has no undo, so it waits for a person
            record = ended(running, "analyse-table")
            assert record.state == "waiting"
            running.client().decide(record.id, "approve")
            wait_until(
                lambda: running.client().remedies()[0].state == "kept", SECONDS, "what was approved"
            )
        else:
            assert ended(running, "refresh-statistics").state == "kept"
