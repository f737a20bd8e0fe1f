"""Several databases of one operator: names, groups, an autonomy each, and one that comes late."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from homeostat.clock import SystemClock
from homeostat.config import Config, DatabaseConfig, MonitorConfig
from homeostat.driver import sqlite
from homeostat.errors import ConfigError, ConnectError, NotFoundError
from homeostat.main import rooms, wanted
from homeostat.operate.console import OperatorConsole
from homeostat.operate.fleet import attach_all
from homeostat.operate.operator import Operator
from tests.servers import PostgresServer, wait_until

CONFIG = Config(monitor=MonitorConfig(health_seconds=0.2))


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Operator]:
    (tmp_path / "data").mkdir(mode=0o700)
    config = msgspec.structs.replace(
        CONFIG,
        operate=msgspec.structs.replace(
            CONFIG.operate, autonomy="auto", remedies={"grow-pool": "auto"}
        ),
    )
    one = Operator(tmp_path / "data", rooms=rooms(config), config=config, clock=SystemClock())
    yield one
    one.stop()


def files(directory: Path, *names: str) -> dict[str, DatabaseConfig]:
    """Return a configuration of files that are there."""
    for name in names:
        sqlite.connect(directory / f"{name}.db", create=True).close()
    return {
        name: DatabaseConfig(
            url=str(directory / f"{name}.db"), group="shops", labels={"team": name}
        )
        for name in names
    }


def test_a_server_that_comes_up_later_is_attached_by_itself(
    operator: Operator, tmp_path: Path, pg_own_server: PostgresServer
) -> None:
    name = pg_own_server.create_database()
    url = pg_own_server.url(name)
    pg_own_server.stop()
    late = DatabaseConfig(url=url, group="late")
    attach_all(operator, {**files(tmp_path, "one"), "late": late})
    console = OperatorConsole(operator)
    status = console.status()
    assert [one.name for one in status.databases] == ["one"]
    [pending] = status.pending
    assert (pending.name, pending.group) == ("late", "late")
    assert "password" not in pending.label
    assert pending.error
    assert status.state == "trouble"
    operator.start()
    wait_until(lambda: console.status().pending[0].tries > 1, 20, "a second try")
    pg_own_server.start()
    wait_until(lambda: console.status().pending == [], 30, "the late database")
    assert {one.name for one in console.status().databases} == {"one", "late"}
    wait_until(operator.find("late").watch.recent.metrics, 20, "the late database to be probed")


def test_with_no_database_at_all_the_first_error_is_told(
    operator: Operator, tmp_path: Path
) -> None:
    (tmp_path / "text.db").write_text("no database " * 500)
    databases = {
        "gone": DatabaseConfig(url="postgresql://user@127.0.0.1:1/gone"),
        "text": DatabaseConfig(url=str(tmp_path / "text.db")),
    }
    with pytest.raises(ConnectError):
        attach_all(operator, databases)


def test_a_database_may_be_held_back_more_than_the_others(
    operator: Operator, tmp_path: Path
) -> None:
    databases = files(tmp_path, "free", "held")
    databases["held"] = msgspec.structs.replace(databases["held"], autonomy="observe")
    attach_all(operator, databases)
    assert operator.find("free").desk.autonomy_of("grow-pool") == "auto"
    assert operator.find("held").desk.autonomy_of("grow-pool") == "observe"
    shown = {one.name: one.autonomy for one in OperatorConsole(operator).status().databases}
    assert shown["held"] == "observe"


def test_a_name_finds_its_database(operator: Operator, tmp_path: Path) -> None:
    attach_all(operator, files(tmp_path, "one", "two"))
    console = OperatorConsole(operator)
    console.pause(actor="me", database="two")
    states = {one.name: one.state for one in console.status().databases}
    assert states == {"one": "ok", "two": "paused"}


def test_an_encrypted_file_is_observed_with_a_reference_to_its_key(
    operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "till.db"
    sqlite.connect(path, create=True, key="of-the-till").close()
    monkeypatch.setenv("TILL_KEY", "of-the-till")
    open_one = files(tmp_path, "open")
    attach_all(operator, {**open_one, "till": DatabaseConfig(url=str(path))})
    [pending] = operator.pending.values()
    assert "encrypted" in pending.error
    attach_all(operator, {"till": DatabaseConfig(url=str(path), key="env:TILL_KEY")})
    assert operator.find("till").watch.error == ""
    attach_all(operator, {"plain": DatabaseConfig(url=str(path), key="of-the-till"), **open_one})
    assert "of-the-till" not in operator.pending["plain"].error


def test_no_name_is_nobodys(operator: Operator, tmp_path: Path) -> None:
    path = tmp_path / "unnamed.db"
    sqlite.connect(path, create=True).close()
    operator.attach(str(path))
    with pytest.raises(NotFoundError):
        OperatorConsole(operator).detach("", actor="alice")
    assert len(operator.attached) == 1


def test_what_is_given_wins_over_what_is_configured(tmp_path: Path) -> None:
    configured = files(tmp_path, "one", "two")
    config = msgspec.structs.replace(CONFIG, databases=configured)
    assert wanted([], config, tmp_path) == configured
    url = configured["two"].url
    assert wanted([url], config, tmp_path) == {"two": configured["two"]}
    other = str(tmp_path / "other.db")
    assert wanted([other], config, tmp_path) == {other: DatabaseConfig(url=other)}


def test_a_password_in_the_file_is_refused(tmp_path: Path) -> None:
    databases = {"shop": DatabaseConfig(url="postgresql://me:hunter2@host/db")}
    config = msgspec.structs.replace(CONFIG, databases=databases)
    with pytest.raises(ConfigError, match="env:NAME") as caught:
        wanted([], config, tmp_path)
    assert "databases.shop.url" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_nothing_given_and_nothing_configured_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Give a URL"):
        wanted([], CONFIG, tmp_path)
