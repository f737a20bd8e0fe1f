"""Every page of a database: empty, hostile, for each role, and by its deep links."""

from __future__ import annotations

import re

import msgspec
import pytest

from homeostat.operate.insights import Hit, Proposals, ProposedRow, StatementRow
from homeostat.web.pages.frame import TABS
from tests.web import scenes
from tests.web.fake import KEY, FakeConsole
from tests.web.rich import activity, explained
from tests.web.site import Site
from tests.web.test_performance import rates

VIEWS = [name for name, _ in TABS if name]


@pytest.fixture
def cookie(site: Site) -> str:
    return site.sign_in()


@pytest.mark.parametrize("name", VIEWS)
def test_an_empty_page_says_so_and_marks_its_tab(site: Site, cookie: str, name: str) -> None:
    answer = site.page(f"/db/{KEY}/{name}", cookie=cookie)
    assert answer.status == 200
    assert f'href="/db/{KEY}/{name}" aria-current="page"' in answer.text
    assert 'class="card empty"' in answer.text or 'class="empty"' in answer.text
    assert site.page(f"/db/other/{name}", cookie=cookie).status == 404


@pytest.mark.parametrize("name", [*VIEWS, "remedies/1", "findings/1"])
def test_hostile_texts_stay_texts(site: Site, console: FakeConsole, cookie: str, name: str) -> None:
    evil = '<img src=x onerror=alert(1)>"\'<hx-partial hx-target="body">'
    scenes.kept(console)
    console.put_finding(msgspec.structs.replace(scenes.finding(console), what=evil, cause=evil))
    console.put_remedy(scenes.remedy(console, "kept", title=evil, verdict=evil, why=evil))
    console.put_audit(evil, evil, actor=evil)
    console.rows_charts = [rates(title=evil)]
    console.rows_statements = [row(name=evil, text=evil)]
    console.report_of = offered(evil)
    text = site.page(f"/db/{KEY}/{name}", cookie=cookie).text
    assert "<img" not in text
    assert "<hx-partial" not in text


def test_statements_say_since_when_they_are_known(
    site: Site, console: FakeConsole, cookie: str
) -> None:
    console.rows_statements = [row()]
    address = f"/db/{KEY}/statements?compare=week"
    assert "Statements are known since" not in site.page(address, cookie=cookie).text
    console.statements_since = 1.7e9 - 60
    text = site.page(address, cookie=cookie).text
    assert "Statements are known since" in text
    assert ">new</span>" in text
    console.compared_known = 0.0
    assert ">new</span>" not in site.page(address, cookie=cookie).text


def test_a_statement_of_whose_tables_nothing_was_found_out_shows_no_empty_card(
    site: Site, console: FakeConsole, cookie: str
) -> None:
    known = explained(console.now())
    address = f"/db/{KEY}/statements/{known.statement}"
    console.explained = known
    assert "What was found out" in site.page(address, cookie=cookie).text
    console.explained = msgspec.structs.replace(known, facts={"tables": {}})
    text = site.page(address, cookie=cookie).text
    assert "What was found out" not in text
    assert re.search(r'class="card">\s*</div>', text) is None


def row(**changes: object) -> StatementRow:
    fields: dict[str, object] = {
        "statement": "0123456789abcdef", "name": "orders_of", "text": "SELECT 1",
        "applications": ["shop"], "write": False, "cost_ms_per_second": 12.0, "share": 0.4,
        "mean_ms": 3.0, "calls_per_second": 4.0, "rows_per_call": 1.0, "late_share": None,
        "pages_per_call": None, "waited_share": None, "source": "agents", "finding": None,
        "planned": True,
    }  # fmt: skip
    return StatementRow(**{**fields, **changes})  # type: ignore[arg-type]


def offered(title: str, state: str = "observed") -> Proposals:
    offer = ProposedRow(
        remedy=1, key="grow-pool", title=title, why="it is full", state=state, proposed=1.0,
        finding=1, rehearsal="not rehearsed yet", benefit="mean latency at least -30%",
        undo="exact", decision="Approve or reject it.",
    )  # fmt: skip
    return Proposals(
        database=KEY, start=0.0, end=9.0, since=5.0, autonomy="observe", found=[], proposed=[offer]
    )


def test_operations_are_told_by_segment_and_older_agents_leave_numbers_unknown(
    site: Site, console: FakeConsole, cookie: str
) -> None:
    console.seen = activity(1.7e9)
    text = site.page(f"/db/{KEY}/activity", cookie=cookie).text
    table = text[text.index("operations-title") : text.index("sessions-title")]
    assert "48 kB" in table or "48.2 kB" in table
    assert "25 %" in table
    assert table.count("unknown") == 3


def test_the_report_of_observe_mode_says_what_a_person_would_approve(
    site: Site, console: FakeConsole, cookie: str
) -> None:
    console.report_of = offered("grow the pool")
    text = site.page(f"/db/{KEY}/report", cookie=cookie).text
    assert "<h1>What I would have done</h1>" in text
    assert "mean latency at least -30%" in text.lower()
    assert "nothing is known before" in text
    assert f'Approve or reject it. <a href="/db/{KEY}/remedies/1">' in text


def test_a_remedy_has_a_page_with_its_story_and_buttons_that_lead_back(
    site: Site, console: FakeConsole, cookie: str
) -> None:
    scenes.waiting(console)
    path = f"/db/{KEY}/remedies/1"
    text = site.page(path, cookie=cookie).text
    assert f'<input type="hidden" name="back" value="{path}">' in text
    assert "Proposed" in text
    answer = site.form(f"{path}/approve", cookie=cookie, csrf=site.csrf(cookie), back=path)
    assert (answer.status, answer.headers["location"]) == (303, path)
    assert site.page(f"/db/{KEY}/remedies/9", cookie=cookie).status == 404
    away = site.form(
        f"/db/{KEY}/pause", cookie=cookie, csrf=site.csrf(cookie), back="https://elsewhere/"
    )
    assert away.headers["location"] == f"/db/{KEY}"


def test_a_broken_chain_is_the_first_thing_said(
    site: Site, console: FakeConsole, cookie: str
) -> None:
    console.put_audit("approve", "remedy 1", actor="ann")
    assert "Chain verified" in site.page(f"/db/{KEY}/audit", cookie=cookie).text
    console.broken = "Audit entry 1 was tampered with"
    text = site.page(f"/db/{KEY}/audit", cookie=cookie).text
    assert "Chain verified" not in text
    assert "Audit entry 1 was tampered with" in text


def test_search_leads_to_what_it_found(site: Site, console: FakeConsole, cookie: str) -> None:
    console.rows_hits = [
        Hit(kind="index", database=KEY, name="by_name", title="by_name", detail=""),
        Hit(kind="rule", database="", name="lock-holder", title="lock-holder", detail="Who"),
    ]
    text = site.page("/search?q=by", cookie=cookie).text
    assert f'<a href="/db/{KEY}/tables#index-by_name">' in text
    assert "<strong>lock-holder</strong>" in text
    assert "Type words" in site.page("/search", cookie=cookie).text


@pytest.mark.parametrize("query", ["statements?order=x", "report?days=0", "audit?before=x"])
def test_an_address_that_asks_for_what_there_is_not_is_refused(
    site: Site, cookie: str, query: str
) -> None:
    assert site.page(f"/db/{KEY}/{query}", cookie=cookie).status == 400
