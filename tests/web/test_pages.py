"""What a person sees without any script: the whole state, honestly, and forms that work."""

from __future__ import annotations

import hashlib
import re

import msgspec
import pytest

from homeostat.errors import LogbookFullError
from homeostat.web.pages import PARTS, STATIC
from tests.web import scenes
from tests.web.fake import KEY, FakeConsole
from tests.web.site import Answer, Site

HTMX = {"HX-Request": "true"}


@pytest.fixture
def cookie(site: Site) -> str:
    return site.sign_in()


def page(site: Site, cookie: str) -> str:
    answer = site.page(f"/db/{KEY}", cookie=cookie)
    assert answer.status == 200
    return answer.text


def test_the_only_database_is_the_first_page(site: Site, console: FakeConsole, cookie: str) -> None:
    answer = site.page("/", cookie=cookie)
    assert (answer.status, answer.headers["location"]) == (303, f"/db/{KEY}")
    console.keys = [KEY, "postgresql-1-2"]
    listed = site.page("/", cookie=cookie)
    assert listed.status == 200
    assert 'href="/db/postgresql-1-2"' in listed.text
    console.keys = []
    assert "No database is observed" in site.page("/", cookie=cookie).text


def test_before_anything_is_measured_nothing_is_claimed(site: Site, cookie: str) -> None:
    text = page(site, cookie)
    assert "Latency is not known" in text
    assert "no agent has reported yet" in text
    assert "No agent reports, so pools cannot be seen or sized" in text
    assert "No remedy was proposed yet" in text
    assert "Nothing is wrong that is known of. Looking since" in text
    assert "0 ms" not in text.replace("50 ms", "")


@pytest.mark.parametrize("scene", scenes.SCENES)
def test_every_scene_keeps_to_the_content_policy(
    site: Site, console: FakeConsole, cookie: str, scene: str
) -> None:
    scenes.SCENES[scene](console)
    text = page(site, cookie)
    assert not re.search(r"<script(?![^>]*\bsrc=)", text)
    assert not re.search(r"\sstyle=|\son\w+=|javascript:|https?://(?!www\.w3\.org)", text)
    assert not re.search(r"hx-on|hx-vals=.js|hx-trigger=.[^>]*\[", text)


def test_findings_remedies_pools_and_traffic_are_shown(
    site: Site, console: FakeConsole, cookie: str
) -> None:
    scenes.undone(console)
    text = page(site, cookie)
    assert "callers wait 1,204 ms" in text
    assert "nightly-export" in text
    assert "it did not help before on evidence that is alike" in text
    assert "88 ms \u2192 5.2 ms (-94%)" in text
    assert "7.9 of 8" in text
    assert "INTJ" in text
    assert "1 cleared lately" in text


def test_many_remedies_are_kept_short(site: Site, console: FakeConsole, cookie: str) -> None:
    for number in range(1, 12):
        console.put_remedy(scenes.remedy(console, "kept", number, ended=console.now()))
    console.put_remedy(scenes.remedy(console, "waiting", 12))
    text = page(site, cookie)
    assert text.count('<article class="card remedy"') == 3
    assert "9 earlier remedies" in text
    assert text.index('id="remedy-12"') < text.index('id="remedy-11"')


def test_hostile_names_stay_text(site: Site, console: FakeConsole, cookie: str) -> None:
    evil = '<img src=x onerror=alert(1)>"\'<hx-partial hx-target="body">'
    console.put_tick(
        msgspec.structs.replace(scenes.tick(console), segments={evil: 1.0}, pools=[{"name": evil}])
    )
    row = scenes.finding(console)
    console.put_finding(
        msgspec.structs.replace(row, what=evil, cause=evil, mend=evil, evidence={evil: evil})
    )
    console.put_remedy(
        scenes.remedy(console, "waiting", title=evil, why=evil, verdict=evil, applied=1.0)
    )
    console.fields = {"label": evil}
    text = page(site, cookie)
    assert "<img" not in text
    assert "<hx-partial" not in text


def partial_names(answer: Answer) -> list[str]:
    return re.findall(r'<hx-partial hx-target="#(\w+)" hx-swap="innerMorph">', answer.text)


def test_the_script_gets_the_parts_that_it_asks_for(
    site: Site, console: FakeConsole, cookie: str
) -> None:
    scenes.trouble(console)
    answer = site.page(f"/db/{KEY}/parts/state+findings", cookie=cookie, headers=HTMX)
    assert partial_names(answer) == ["state", "findings"]
    assert "is exhausted" in answer.text
    everything = site.page(f"/db/{KEY}/parts/{'+'.join(PARTS)}", cookie=cookie)
    assert partial_names(everything) == list(PARTS)


@pytest.mark.parametrize(
    "path", ["/db/other", f"/db/{KEY}/parts/nothing", "/db/other/parts/state", "/nothing"]
)
def test_what_is_not_there_is_said_on_a_page(site: Site, cookie: str, path: str) -> None:
    answer = site.page(path, cookie=cookie)
    assert answer.status == 404
    assert "<h1>" in answer.text


@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_a_decision_works_without_a_script(
    site: Site, console: FakeConsole, cookie: str, decision: str
) -> None:
    scenes.waiting(console)
    answer = site.form(f"/db/{KEY}/remedies/1/{decision}", cookie=cookie, csrf=site.csrf(cookie))
    assert (answer.status, answer.headers["location"]) == (303, f"/db/{KEY}")
    assert console.remedy(1).remedy.decided_by == "page"
    assert console.remedy(1).remedy.state != "waiting"


def test_a_decision_by_script_brings_the_changed_parts(
    site: Site, console: FakeConsole, cookie: str
) -> None:
    scenes.waiting(console)
    answer = site.form(
        f"/db/{KEY}/remedies/1/approve", cookie=cookie, headers=HTMX, csrf=site.csrf(cookie)
    )
    assert partial_names(answer) == ["state", "remedies", "findings", "log"]
    assert "Measuring" in answer.text


def test_a_refused_decision_says_why_in_place(
    site: Site, console: FakeConsole, cookie: str
) -> None:
    scenes.kept(console)
    answer = site.form(
        f"/db/{KEY}/remedies/1/approve", cookie=cookie, headers=HTMX, csrf=site.csrf(cookie)
    )
    assert answer.status == 409
    assert answer.headers["hx-retarget"] == "#notice"
    assert "cannot be decided now" in answer.text


def test_a_script_without_a_sign_in_loads_the_page_again(site: Site) -> None:
    answer = site.request("GET", f"/db/{KEY}/parts/state", headers=HTMX)
    assert (answer.status, answer.headers["hx-refresh"]) == (401, "true")


def test_pause_resume_autonomy_and_detach(site: Site, console: FakeConsole, cookie: str) -> None:
    csrf = site.csrf(cookie)
    site.form(f"/db/{KEY}/pause", cookie=cookie, csrf=csrf)
    assert "nothing is applied" in page(site, cookie)
    site.form(f"/db/{KEY}/resume", cookie=cookie, csrf=csrf)
    assert "nothing is applied" not in page(site, cookie)
    path = f"/db/{KEY}/autonomy"
    site.form(path, cookie=cookie, csrf=csrf, remedy="grow-pool", autonomy="auto")
    assert console.autonomy == {"grow-pool": "auto"}
    wild = site.form(path, cookie=cookie, csrf=csrf, remedy="grow-pool", autonomy="wild")
    assert wild.status == 400
    gone = site.form(f"/db/{KEY}/detach", cookie=cookie, csrf=csrf)
    assert (gone.status, gone.headers["location"]) == (303, "/")
    assert console.keys == []


def test_a_failing_logbook_is_a_page_and_no_traceback(
    site: Site, console: FakeConsole, cookie: str
) -> None:
    console.failure = LogbookFullError()
    answer = site.page(f"/db/{KEY}", cookie=cookie)
    assert answer.status == 503
    assert "Free space under --data" in answer.text
    assert "Traceback" not in answer.text


def test_vendored_files_are_as_published() -> None:
    listed = (STATIC / "vendor" / "README.md").read_text(encoding="utf-8")
    sums = dict(re.findall(r"^\| `([^`]+)` .* `([0-9a-f]{64})` \|$", listed, re.MULTILINE))
    scripts = {
        path.name for path in (STATIC / "vendor").iterdir() if path.suffix in {".js", ".css"}
    }
    assert set(sums) == scripts
    for name, expected in sums.items():
        content = (STATIC / "vendor" / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == expected, name
