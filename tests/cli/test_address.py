from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.stage import Run_
from tests.servers import PostgresServer

SECRET = "hunter2"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://user:{SECRET}@host/db",
        f"postgres://user:{SECRET}@one,two:5433/db?sslmode=require",
        f"postgresql://user@host/db?password={SECRET}",
        f"postgresql://user@host/db?sslpassword={SECRET}",
        f"sqlite:///file.db?key={SECRET}",
        f"host=host user=user password={SECRET}",
        f"postgresql://user:{SECRET}@[host/db",
    ],
)
@pytest.mark.parametrize("command", ["up", "demo"])
def test_a_password_in_the_command_is_refused_and_never_repeated(
    homeostat: Run_, data: Path, command: str, url: str
) -> None:
    words = ("up", url) if command == "up" else ("demo", "--engine", "postgresql", "--url", url)
    said = homeostat(*words)
    assert said.code == 2
    assert SECRET not in said.err + said.out
    assert not any(data.iterdir())


def test_the_refusal_says_where_a_password_may_stand(homeostat: Run_, data: Path) -> None:
    err = homeostat("up", f"postgresql://user:{SECRET}@host/db").err
    for way in ("PGPASSWORD", "~/.pgpass", "?passfile=", "--password"):
        assert way in err


def test_a_password_cannot_be_asked_for_without_a_terminal(homeostat: Run_, data: Path) -> None:
    said = homeostat("up", "postgresql://user@host/db", "--password")
    assert said.code == 2
    assert "on a terminal" in said.err


def test_a_password_is_typed_unseen(on_terminal: Run_, pg_server: PostgresServer) -> None:
    url = f"postgresql://postgres@127.0.0.1:{pg_server.port}/postgres"
    said = on_terminal("up", url, "--password", typed=f"{SECRET}\n")
    assert said.code == 1
    assert "Password: " in said.out
    assert SECRET not in said.out
    assert "password" in said.out.partition("error:")[2]  # the server was asked and refused it
