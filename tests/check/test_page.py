"""The report as a file: whole, escaped, and readable on a phone, without loading anything."""

from __future__ import annotations

import stat
from pathlib import Path

import msgspec
import pytest

from homeostat.check.page import render, write_page
from homeostat.check.report import Cost, CostKind, Database, Finding, Report, Unseen
from homeostat.check.words import cost_words, evidence_words
from homeostat.errors import ConfigError
from homeostat.measure import Severity
from tests.browser import chromium

DATABASE = Database(
    key="postgresql-1-1",
    label="shop on db.example.org:5432",
    dialect="postgresql",
    version="18.1",
    role="least",
    at=1_790_000_000.0,
    seconds=3.2,
    busy_seconds=0.4,
    checks=36,
)
FINDING = Finding(
    rule="index_unused",
    severity=Severity.WARNING,
    what='index "<b>" takes 120 MB and was never used',
    where='public."' + "long_" * 30 + '"',
    cause="no scan used it in 30 days",
    evidence={"index_bytes": 120e6, "statement": "<script>alert(1)</script>", "scans": 0},
    mend_sql='DROP INDEX CONCURRENTLY public."<b>";',
    risk="Low",
    cost=Cost(kind="bytes", amount=120e6),
)
REPORT = Report(
    database=DATABASE,
    findings=[FINDING],
    unseen=[Unseen(what="sessions", reason="no right", mend="GRANT pg_monitor TO least;")],
)


def test_texts_of_the_database_are_shown_and_not_obeyed() -> None:
    page = render(REPORT)
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "DROP INDEX CONCURRENTLY public.&#34;&lt;b&gt;&#34;;" in page
    assert "GRANT pg_monitor TO least;" in page


def test_a_healthy_database_says_what_was_not_seen() -> None:
    page = render(Report(database=DATABASE, findings=[], unseen=REPORT.unseen))
    assert "Nothing was found in what could be seen" in page


def test_the_file_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_page(REPORT, path)
    assert path.read_text(encoding="utf-8").endswith("</html>")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(ConfigError, match="cannot be written"):
        write_page(REPORT, tmp_path / "missing" / "report.html")
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.slow
def test_it_loads_nothing_and_fits_a_phone(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_page(REPORT, path)
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme="dark")
        asked: list[str] = []
        said: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.goto(path.as_uri())
        assert asked == [path.as_uri()]
        assert said == []
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.emulate_media(media="print")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark
        assert not page.get_by_role("button", name="Copy").first.is_visible()


@pytest.mark.parametrize(
    ("kind", "amount", "said"),
    [
        ("bytes", 12e6, "12 MB taken for nothing"),
        ("time", 34.0, "3.4 % of one session's time"),
        ("time", 1e-4, "less than 0.1 % of one session's time"),
        ("time", 5000.0, "the whole time of 5 sessions"),
        ("risk", 1.0, "a risk that is here now"),
        ("risk", 0.1, "a small risk"),
    ],
)
def test_what_a_finding_costs_is_said_in_words(kind: CostKind, amount: float, said: str) -> None:
    assert cost_words(Cost(kind=kind, amount=amount)) == said


def test_evidence_has_its_unit_at_the_value_once() -> None:
    one = msgspec.structs.replace(
        FINDING, evidence={"index_bytes": 12e6, "state": "idle", "state_seconds": 300.0}
    )
    assert evidence_words(one) == [
        ("index", "12 MB"), ("state", "idle"), ("state seconds", "5 min"),
    ]  # fmt: skip
