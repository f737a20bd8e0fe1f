"""`homeostat init`: a look, a few questions, and a file that `homeostat up` takes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from homeostat.cli.config_text import name_of
from homeostat.cli.shapes import InitReport
from homeostat.config import load
from homeostat.driver import sqlite
from homeostat.secret import Secret
from tests.cli.stage import Run_
from tests.servers import PostgresServer


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    wire = sqlite.connect(path, create=True)
    wire.execute("CREATE TABLE goods (id INTEGER PRIMARY KEY, name TEXT)")
    wire.close()
    return path


@pytest.fixture
def visitor(pg_server: PostgresServer, pg_database: str) -> Iterator[str]:
    """Return the URL, without its password, of a role that may only come in."""
    pg_server.execute("CREATE ROLE visitor LOGIN PASSWORD 'of-the-visitor'")
    place = urlsplit(pg_database)
    yield f"postgresql://visitor@{place.hostname}:{place.port}{place.path}"
    pg_server.execute("DROP ROLE visitor")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_file_observes_and_one_line_lets_it_act(
    homeostat: Run_, shop: Path, data: Path
) -> None:
    before = (digest(shop), shop.stat().st_mtime_ns)
    said = homeostat("init", str(shop))
    assert said.code == 0, said.err
    assert "1 table" in said.out
    path = data / "homeostat.toml"
    assert path.stat().st_mode & 0o777 == 0o600
    config = load(path)
    assert config.operate.autonomy == "observe"
    assert config.databases["shop"].url == str(shop)
    assert (digest(shop), shop.stat().st_mtime_ns) == before
    line = next(line.strip() for line in said.out.splitlines() if "autonomy =" in line)
    path.write_text(path.read_text().replace('\nautonomy = "observe"', f"\n{line}"))
    assert load(path).operate.autonomy == "auto"


def test_a_file_that_is_there_is_left_alone_unless_told(
    homeostat: Run_, shop: Path, data: Path, tmp_path: Path
) -> None:
    path = data / "homeostat.toml"
    mine = '# mine\n[operate]\nautonomy = "auto"  # I know\n'
    path.write_text(mine)
    refused = homeostat("init", str(shop))
    assert refused.code == 1
    assert "--add" in refused.err
    assert path.read_text() == mine

    added = homeostat("init", "--add", "--json", str(shop))
    report = InitReport(**added.json())
    assert report.act_section == "databases.shop"
    text = path.read_text()
    assert text.startswith(mine)
    config = load(path)
    assert config.operate.autonomy == "auto"
    assert config.databases["shop"].autonomy == "observe", "what is added is only observed"
    again = homeostat("init", "--add", "--name", "other", str(shop))
    assert again.code == 1
    assert "is there already" in again.err
    assert path.read_text() == text

    replaced = homeostat("init", "--replace", str(shop))
    assert replaced.code == 0
    assert (data / "homeostat.toml.old").read_text() == text
    assert load(path).operate.autonomy == "observe"
    assert homeostat("init", "--add", "--replace", str(shop)).code == 2


def test_on_a_terminal_it_asks(on_terminal: Run_, shop: Path, data: Path) -> None:
    said = on_terminal("init", str(shop), typed="The Till\n20\n")
    assert said.code == 0, said.out
    config = load(data / "homeostat.toml")
    assert list(config.databases) == ["the-till"]
    assert config.monitor.promise_ms == 20.0


def test_nothing_is_written_for_what_cannot_be_looked_at(
    homeostat: Run_, data: Path, tmp_path: Path
) -> None:
    text = tmp_path / "text.db"
    text.write_text("no database " * 100)
    for given, why in (
        (str(tmp_path / "missing.db"), "no such file"),
        (str(text), "not an SQLite database"),
        ("postgresql://a@127.0.0.1:1/b", "Nothing listens"),
    ):
        said = homeostat("init", given)
        assert said.code == 1
        assert why in said.err
        assert said.err.count("\n") == 1
    assert list(data.iterdir()) == []


def test_a_password_is_never_taken_from_the_command_line(homeostat: Run_, data: Path) -> None:
    said = homeostat("init", "postgresql://a:hunter2@127.0.0.1:1/b")
    assert said.code == 2
    assert "hunter2" not in said.err
    assert list(data.iterdir()) == []


def test_a_password_comes_by_reference(homeostat: Run_, visitor: str, data: Path) -> None:
    nobody = homeostat("init", visitor)
    assert nobody.code == 1
    assert not (data / "homeostat.toml").exists()
    said = homeostat(
        "init", visitor, "--password-from", "env:OF_VISITOR", env={"OF_VISITOR": "of-the-visitor"}
    )
    assert said.code == 0, said.err
    assert 'GRANT pg_monitor TO "visitor";' in said.out
    assert "as visitor" in said.out
    [one] = load(data / "homeostat.toml").databases.values()
    assert one.password == "env:OF_VISITOR"
    assert one.url == visitor


def test_a_password_that_is_typed_is_kept_for_its_owner_alone(
    on_terminal: Run_, visitor: str, data: Path
) -> None:
    said = on_terminal(
        "init", visitor, "--name", "v", "--promise-ms", "9", typed="of-the-visitor\n"
    )
    assert said.code == 0, said.out
    assert "of-the-visitor" not in said.out
    text = (data / "homeostat.toml").read_text()
    assert "of-the-visitor" not in text
    [one] = load(data / "homeostat.toml").databases.values()
    assert Secret.parse(one.password).resolve() == "of-the-visitor"
    kept = Path(one.password.removeprefix("file:"))
    assert (kept.stat().st_mode & 0o777, kept.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_the_key_of_an_encrypted_file_comes_by_reference(
    homeostat: Run_, tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "till.db"
    wire = sqlite.connect(path, create=True, key="of-the-till")
    wire.execute("CREATE TABLE goods (id INTEGER PRIMARY KEY)")
    wire.close()
    refused = homeostat("init", str(path))
    assert refused.code == 1
    assert "key" in refused.err
    monkeypatch.setenv("TILL_KEY", "of-the-till")
    report = homeostat("init", str(path), "--key-from", "env:TILL_KEY", "--json").json()
    assert (report["key"], report["password"]) == ("env:TILL_KEY", "")
    said = homeostat("init", str(path), "--key-from", "env:TILL_KEY", "--replace")
    assert said.code == 0, said.err
    assert "its key comes from env:TILL_KEY" in said.out
    written = (data / "homeostat.toml").read_text()
    assert "of-the-till" not in written
    assert load(data / "homeostat.toml").databases["till"].key == "env:TILL_KEY"


@pytest.mark.parametrize("command", ["init", "check"])
def test_a_server_has_no_key(homeostat: Run_, data: Path, command: str) -> None:
    said = homeostat(command, "postgresql://127.0.0.1:1/shop", "--key-from", "env:TILL_KEY")
    assert said.code == 2
    assert "--key-from is for an encrypted SQLite file" in said.err
    assert not (data / "homeostat.toml").exists()


@pytest.mark.parametrize(
    "command",
    [
        ("init", "--password-from", "env:SHOP"),
        ("check", "--password"),
        ("grants", "--role", "monitor", "--password"),
        ("up", "--password"),
    ],
)
def test_a_file_has_no_password(
    homeostat: Run_, sqlite_path: Path, data: Path, command: tuple[str, ...]
) -> None:
    said = homeostat(command[0], str(sqlite_path), *command[1:])
    assert said.code == 2
    assert "an SQLite file has no password" in said.err
    assert not (data / "homeostat.toml").exists()


def test_names_come_from_files_and_databases() -> None:
    names = {
        "/srv/My Shop.sqlite3": "my-shop",
        "postgresql://a@h/shop_eu?sslmode=require": "shop_eu",
        "users": "users",
        "postgresql://h": "h",
        "/srv/-.db": "main",
    }
    assert {given: name_of(given) for given in names} == names
