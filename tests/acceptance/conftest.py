"""The demo on each engine."""

from __future__ import annotations

import pytest

from homeostat.secret import split_password
from tests.acceptance.demo_process import STORY_USERS


@pytest.fixture(params=["sqlite", "postgresql"])
def arguments(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the demo's arguments for a small database of each engine."""
    users = STORY_USERS[request.param]
    if request.param == "sqlite":
        return ["--users", users]
    url, password = split_password(request.getfixturevalue("pg_database"))
    assert password is not None
    monkeypatch.setenv("PGPASSWORD", password)  # the demo takes no password in its arguments
    return ["--users", users, "--engine", "postgresql", "--url", url]
