"""The commands against the operator itself: `homeostat up` on a file, until Ctrl-C."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from homeostat.cli.shapes import Started
from homeostat.clock import SystemClock
from homeostat.engine import Target, open_engine
from homeostat.logbook import Logbook
from homeostat.operate.views import CloneView, TokenView
from tests.cli.stage import EXECUTABLE, Run_, environment, finding, remedy
from tests.patience import line_of
from tests.servers import wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def waiting(data: Path, sqlite_path: Path) -> None:
    """Leave a remedy that waits for a person, as an operator does that ended meanwhile."""
    engine = open_engine(Target(str(sqlite_path)))
    key = engine.identity().key
    engine.close()
    with Logbook.open(data / "logbook.db", clock=SystemClock()) as book, book.write(None) as tx:
        found = tx.save_finding(finding(0, database=key))
        tx.save_remedy(
            remedy(
                0,
                database=key,
                key="grow-pool",
                finding=found.id,
                run=None,
                state="waiting",
                applied=None,
                ended=None,
                decided=None,
                decided_by="",
                verdict="",
                result={},
            )
        )


@pytest.fixture
def up(data: Path, sqlite_path: Path, waiting: None) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [str(EXECUTABLE), "up", str(sqlite_path)],
        env=environment(data),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    wait_until((data / "operator.json").exists, 30, "the operator to start")
    yield process
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)


def test_a_person_looks_decides_pauses_and_lets_go(
    homeostat: Run_, sqlite_path: Path, up: subprocess.Popen[str]
) -> None:
    shown = homeostat("status")
    assert str(sqlite_path) in shown.out
    assert "1 waiting for you" in shown.out
    assert "unknown: no agent" in shown.out
    assert "next: homeostat remedy show 1" in shown.out

    story = homeostat("remedy", "show", "1")
    assert "next: homeostat remedy approve 1" in story.out
    assert "next: homeostat remedy reject 1" in story.out

    assert homeostat("pause").code == 0
    assert homeostat("status", "--json").json()["databases"][0]["state"] == "paused"
    refused = homeostat("remedy", "approve", "1")
    assert refused.code == 1
    assert "homeostat resume" in refused.err
    assert homeostat("resume").code == 0

    assert homeostat("remedy", "reject", "1", "--json").json()["remedy"]["state"] == "rejected"
    again = homeostat("remedy", "reject", "1")
    assert again.code == 1
    assert "can no longer be rejected" in again.err

    assert homeostat("link").out.startswith("http://127.0.0.1:")
    assert homeostat("detach", sqlite_path.name).code == 0
    assert homeostat("status", "--json").json()["databases"] == []


def test_ctrl_c_ends_the_operator_and_the_logbook_goes_on_speaking(
    homeostat: Run_, sqlite_path: Path, data: Path, up: subprocess.Popen[str]
) -> None:
    up.send_signal(signal.SIGINT)
    out, _ = up.communicate(timeout=20)
    assert up.returncode == 0
    assert "Traceback" not in out
    assert "page (sign-in link" in out
    said = homeostat("status")
    assert said.code == 0
    assert said.out.startswith("operator not running; this is what the logbook says")
    assert f"next: homeostat up {sqlite_path} --data {data}" in said.out


def test_up_prints_where_it_is_as_json(data: Path, sqlite_path: Path) -> None:
    process = subprocess.Popen(
        [str(EXECUTABLE), "up", str(sqlite_path), "--json"],
        env=environment(data),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or lines[-1] != "}\n":  # the value is indented, so its end stands alone
        line = line_of(process.stdout)
        assert line, "it ended before it said where it is"
        lines.append(line)
    started = msgspec.json.decode("".join(lines), type=Started)
    assert started.page.startswith("http://127.0.0.1:")
    assert [one.label for one in started.status.databases] == [str(sqlite_path)]
    process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=20)
    assert (process.returncode, rest) == (0, "")


def test_up_says_what_is_wrong_with_a_database(homeostat: Run_, tmp_path: Path) -> None:
    missing = homeostat("up", str(tmp_path / "missing.db"))
    assert missing.code == 1
    assert str(tmp_path / "missing.db") in missing.err
    (tmp_path / "text.db").write_text("this is no database " * 500)
    text = homeostat("up", str(tmp_path / "text.db"))
    assert text.code == 1
    assert "not an SQLite database" in text.err
    nobody = homeostat("up", "postgresql://user@127.0.0.1:1/db")
    assert nobody.code == 1
    for said in (missing, text, nobody):
        assert said.err.count("\n") == 1
        assert said.out == ""


def test_a_token_is_made_used_listed_and_revoked(
    homeostat: Run_, up: subprocess.Popen[str]
) -> None:
    made = json.loads(homeostat("token", "create", "alice", "--role", "viewer", "--json").out)
    TokenView(**made)
    printed = homeostat("token", "create", "bob", "--role", "operator", "--days", "7")
    assert printed.out.startswith("hs_")
    assert "shown once" in printed.err
    listed = homeostat("token", "list")
    assert [line.split()[0] for line in listed.out.splitlines()] == ["alice", "bob"]
    assert made["token"] not in listed.out
    assert "no longer opens" in homeostat("token", "revoke", "bob").out
    left = json.loads(homeostat("token", "list", "--json").out)
    assert [one["name"] for one in left] == ["alice"]
    again = homeostat("token", "revoke", "bob")
    assert again.code == 1
    assert "No token has this name" in again.err
    assert homeostat("link", "--role", "viewer", "--name", "no name").code == 1


def test_a_clone_is_made_listed_and_dropped(
    homeostat: Run_, data: Path, sqlite_path: Path, up: subprocess.Popen[str]
) -> None:
    nothing = homeostat("clone", "list")
    assert nothing.out.startswith("no clones\nnext: homeostat clone create")
    made = homeostat("clone", "create", "--hours", "2", "--json").json()
    view = CloneView(**made)
    assert Path(view.url).parent == data / "clones"
    assert view.expires - view.created == 7200
    listed = homeostat("clone", "list", "--database", sqlite_path.name)
    assert view.name in listed.out
    assert f"of {sqlite_path}, for person" in listed.out
    assert "was not touched" in homeostat("clone", "drop", view.name).out
    assert list((data / "clones").iterdir()) == []
    again = homeostat("clone", "drop", view.name)
    assert again.code == 1
    assert "no clone of this name" in again.err
    assert "no clone of this name" in homeostat("clone", "drop", "a/b").err
    homeostat("clone", "create", "--hours", "0.0001")
    wait_until(lambda: "has expired" in homeostat("clone", "list").out)


def test_a_name_that_nobody_knows_is_told_whatever_is_in_it(
    homeostat: Run_, up: subprocess.Popen[str]
) -> None:
    for name in ("orders/list", "", "nothing", "two\nlines"):
        said = homeostat("explain", name)
        assert said.code == 1
        assert "No statement or operation of this name was seen" in said.err
    assert "no finding of this number" in homeostat("explain", "999").err
