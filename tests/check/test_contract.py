"""What holds for every check: the contract of its output, its exit codes, its limits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from homeostat.cli import main
from homeostat.driver import sqlite
from tests.servers import PostgresServer


def deleted_rows(path: Path) -> Path:
    """Make a file most of whose pages are free, with the same index twice."""
    wire = sqlite.connect(path, create=True)
    wire.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT) STRICT")
    wire.execute(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 16000)"
        " INSERT INTO note SELECT i, hex(randomblob(500)) FROM n"
    )
    wire.execute("DELETE FROM note WHERE id > 10")
    wire.execute("CREATE INDEX note_text ON note (text)")
    wire.execute("CREATE INDEX note_text_again ON note (text)")
    wire.close()
    return path


def test_findings_are_json_as_documented_and_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = deleted_rows(tmp_path / "app.db")
    assert main(["check", str(path), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert list(report) == ["database", "findings", "unseen"]
    found = {one["rule"]: one for one in report["findings"]}
    assert list(found["free_pages"]) == [
        "rule", "severity", "what", "where", "cause", "evidence", "mend_sql", "risk", "cost",
    ]  # fmt: skip
    assert found["free_pages"]["cost"]["kind"] == "bytes"

    wire = sqlite.connect(path)
    wire.execute(found["free_pages"]["mend_sql"])
    wire.close()
    main(["check", str(path), "--json"])
    after = json.loads(capsys.readouterr().out)
    assert "free_pages" not in {one["rule"] for one in after["findings"]}


def test_what_is_worth_knowing_and_no_trouble_is_listed_with_exit_code_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "app.db"
    wire = sqlite.connect(path, create=True)
    wire.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT) STRICT")
    wire.execute("PRAGMA journal_mode = DELETE")
    wire.close()
    assert main(["check", str(path)]) == 0
    said = capsys.readouterr().out
    assert "PRAGMA journal_mode = WAL;" in said
    assert "1 finding, none above info: healthy" in said


def test_the_report_is_written_beside_what_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, page = deleted_rows(tmp_path / "app.db"), tmp_path / "report.html"
    assert main(["check", str(path), "--html", str(page)]) == 1
    assert "VACUUM;" in page.read_text(encoding="utf-8")
    assert "mend: VACUUM;" in capsys.readouterr().out
    assert main(["check", str(path), "--html", str(tmp_path / "missing" / "report.html")]) == 2


@pytest.mark.parametrize("url", ["missing.db", "mysql://host/name", "postgresql://127.0.0.1:1/x"])
def test_what_cannot_be_looked_at_is_exit_code_2(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", url, "--json"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert len(said.err.splitlines()) == 1


def test_an_encrypted_file_is_looked_at_with_the_key_that_a_reference_leads_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "till.db"
    wire = sqlite.connect(path, create=True, key="of-the-till")
    wire.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT) STRICT")
    wire.execute("CREATE INDEX note_text ON note (text)")
    wire.execute("CREATE INDEX note_text_again ON note (text)")
    wire.close()
    monkeypatch.setenv("TILL_KEY", "of-the-till")
    monkeypatch.setenv("OTHER_KEY", "of-another")
    assert main(["check", str(path)]) == 2
    assert "with --key-from" in capsys.readouterr().err
    assert main(["check", str(path), "--key-from", "env:OTHER_KEY"]) == 2
    assert "of-another" not in capsys.readouterr().err
    main(["check", str(path), "--key-from", "env:TILL_KEY", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert "note_text_again" in str(report["findings"])
    assert not [one for one in report["unseen"] if "key" in one["reason"]]


def test_postgresql_is_looked_at_without_changing_it(
    pg_server: PostgresServer, pg_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = pg_database.rpartition("/")[2]
    monkeypatch.setenv("PGPASSWORD", pg_server.password)
    written = "SELECT tup_inserted + tup_updated + tup_deleted FROM pg_stat_database"
    where = f" WHERE datname = '{name}'"
    before = pg_server.execute(written + where)
    url = f"postgresql://postgres@127.0.0.1:{pg_server.port}/{name}"
    assert main(["check", url]) in {0, 1}
    assert pg_server.execute(written + where) == before
