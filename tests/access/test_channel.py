"""How an agent finds its operator, and what it does not trust."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from homeostat.access import Database
from tests.access.conftest import MakeDatabase
from tests.access.helpers import READ, SmallOperator, agent_of, read, until
from tests.patience import SECONDS_MAX


@pytest.mark.parametrize(
    ("name", "mode", "mend"),
    [("token", 0o644, "chmod 600"), (".", 0o755, "chmod 700"), ("operator.json", 0o666, "go-w")],
)
def test_files_that_others_can_use_are_refused_with_what_to_do(
    make_database: MakeDatabase,
    operator: SmallOperator,
    caplog: pytest.LogCaptureFixture,
    name: str,
    mode: int,
    mend: str,
) -> None:
    caplog.set_level(logging.WARNING, "homeostat.agent")
    operator.start()
    path = operator.directory / name
    path.chmod(mode)
    database = make_database()
    until(lambda: agent_of(database).failures > 2)
    assert operator.posts == 0
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 1  # said once, not at every try
    assert mend in warnings[0]
    assert operator.token not in warnings[0]
    path.chmod(0o700 if name == "." else 0o600)
    until(lambda: operator.posts > 0)


def test_the_token_is_not_sent_to_whoever_took_over_a_dead_operators_port(
    make_database: MakeDatabase, operator: SmallOperator
) -> None:
    operator.start()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait(SECONDS_MAX)
    found = operator.directory / "operator.json"
    found.write_text(found.read_text().replace(f'"pid": {os.getpid()}', f'"pid": {dead.pid}'))
    database = make_database()
    until(lambda: agent_of(database).failures > 1)
    assert operator.posts == 0


def test_url_and_token_may_come_from_the_environment(
    file: Path, operator: SmallOperator, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator.start()
    monkeypatch.setenv("HOMEOSTAT_URL", operator.url)
    monkeypatch.setenv("HOMEOSTAT_TOKEN", operator.token)
    with Database.open(file, operations=[READ]) as database:
        read(database, 2)
        until(lambda: operator.count("note.count") == 2)
