"""The pages about the data path: complete, and their application runs."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import json
import re
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest

from homeostat import errors
from homeostat.access import AsyncDatabase, Database, ExecutionSettings, Operation
from homeostat.driver import sqlite

DOCS = Path(__file__).resolve().parents[2] / "docs"
REFERENCE = (DOCS / "reference" / "data-path.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return REFERENCE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def first_cells(text: str) -> set[str]:
    return {name for line in text.splitlines() for name in re.findall(r"`(\w+)`", line.split("|")[1]
            if line.startswith("| `") else "")}  # fmt: skip


@pytest.mark.parametrize("kind", [Operation, ExecutionSettings])
def test_every_field_is_documented(kind: type) -> None:
    fields = {one.name for one in dataclasses.fields(kind) if one.init}
    assert first_cells(section(kind.__name__)) == fields


def test_every_argument_of_open_is_documented() -> None:
    arguments = set(inspect.signature(Database.open).parameters)
    assert first_cells(section("Arguments of `open`")) == arguments


def test_every_method_is_documented_and_in_both_forms() -> None:
    listed = first_cells(section("Methods"))
    for kind in (Database, AsyncDatabase):
        public = {
            name
            for name, one in inspect.getmembers(kind)
            if not name.startswith("_") and callable(one)
        }
        assert public <= listed, kind
    assert listed <= set(dir(Database)) | {"savepoint"}


def test_every_error_of_the_data_path_is_documented() -> None:
    kinds = {one.__name__ for one in errors.AccessError.__subclasses__()}
    assert first_cells(section("Errors of the data path")) == kinds


def test_the_defaults_are_the_ones_in_the_code() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| ([\d,]+|off|none|all|`normal`) \|",
        section("ExecutionSettings"),
        re.MULTILINE,
    )
    words = {"off": False, "none": None, "all": (), "`normal`": "normal"}
    told = {n: words[v] if v in words else int(v.replace(",", "")) for n, v in rows}
    assert told == {
        one.name: one.default for one in dataclasses.fields(ExecutionSettings) if one.init
    }


def names_of(page: str, number: int) -> dict[str, Any]:
    """Run a snippet of a how-to; return what it defines."""
    text = (DOCS / "how-to" / page).read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(blocks[number], page, "exec"), names)
    return names


async def ask(
    app: Any, method: str, path: str, *, query: str = "", body: object = None, **headers: str
) -> tuple[int, bytes]:
    """Send one request to an ASGI application."""
    sent: list[MutableMapping[str, Any]] = []
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()],
        "app": app,
    }

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": json.dumps(body).encode()}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], b"".join(one.get("body", b"") for one in sent[1:])


def test_the_web_application_runs(
    sqlite_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NOTES_DATABASE", str(sqlite_path))
    monkeypatch.setenv("HOMEOSTAT_DATA", str(tmp_path / "nobody"))
    for _ in range(2):  # may be run again
        names_of("web-application.md", 1)
    app = names_of("web-application.md", 0)["app"]

    async def story() -> None:
        async with app.router.lifespan_context(app):
            for number in range(25):
                key = {"idempotency_key": f"k{number // 2}"}  # every note is sent twice
                note = {"text": f"note {number // 2}"}
                assert (await ask(app, "POST", "/notes", body=note, **key))[0] == 201
            status, body = await ask(app, "GET", "/notes")
            assert status == 200
            first = json.loads(body)
            assert [one["text"] for one in first["notes"]] == [
                f"note {n}" for n in range(12, -1, -1)
            ]
            assert first["after"] is None
            assert (await ask(app, "GET", "/notes", query="after=made-up"))[0] == 400
            app.state.db.pool.resize(1)
            lease = app.state.db.pool.acquire("holder")
            app.state.db.core.executor._planner = lambda *_: ExecutionSettings(wait_ms=20)
            assert (await ask(app, "GET", "/notes"))[0] == 503
            app.state.db.pool.release(lease)

    asyncio.run(asyncio.wait_for(story(), 30))


def test_the_script_runs(
    sqlite_path: Path,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOMEOSTAT_DATA", str(tmp_path / "nobody"))
    wire = sqlite.connect(sqlite_path)
    wire.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT)")
    wire.execute("INSERT INTO note VALUES (1, 'one'), (2, 'two')")
    wire.close()
    names_of("script.md", 0)["main"](str(sqlite_path))
    assert capsys.readouterr().out == "1\tone\n2\ttwo\n"


def test_the_import_runs_and_can_be_run_again(
    sqlite_path: Path,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOMEOSTAT_DATA", str(tmp_path / "nobody"))
    lines = tmp_path / "notes.jsonl"
    lines.write_text("".join(json.dumps({"text": str(n)}) + "\n" for n in range(2_500)))
    main = names_of("script.md", 1)["main"]
    assert main(str(sqlite_path), str(lines)) == 1
    assert "no such table" in capsys.readouterr().err
    wire = sqlite.connect(sqlite_path)
    wire.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT)")
    for _ in range(2):
        assert main(str(sqlite_path), str(lines)) == 0
        assert capsys.readouterr().out == "2500 notes\n"
        assert wire.execute("SELECT count(*), count(DISTINCT text) FROM note").rows == [
            (2500, 2500)
        ]
    wire.close()
