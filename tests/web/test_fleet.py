"""The fleet page: groups, labels, what needs somebody first, and what is not attached yet."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from homeostat.operate.views import Pending, Status
from homeostat.web.fleet import Group
from tests.web.fake import FakeConsole
from tests.web.site import Site

SHOPS: dict[str, dict[str, Any]] = {
    "shop-eu": {"group": "shops", "labels": {"region": "eu"}, "state": "ok"},
    "shop-us": {"group": "shops", "labels": {"region": "us"}, "state": "trouble"},
    "shop-jp": {"group": "shops", "labels": {"region": "jp"}, "state": "ok", "waiting": 1},
    "billing": {"group": "<money>", "labels": {"region": "eu"}, "state": "ok"},
    "scratch": {"group": "", "labels": {}, "state": "ok"},
}


@pytest.fixture
def fleet(site: Site, console: FakeConsole, monkeypatch: pytest.MonkeyPatch) -> str:
    one = console.status().databases[0]
    databases = [
        msgspec.convert(
            {**msgspec.to_builtins(one), "waiting": 0, "key": key, "name": key, **fields}, type(one)
        )
        for key, fields in SHOPS.items()
    ]
    pending = Pending(
        name="late",
        label="app on db:5432",
        group="shops",
        error="The server refuses connections.",
        since=console.now(),
        tries=3,
    )
    status = console.status()

    def everything() -> Status:
        return msgspec.structs.replace(status, databases=databases, pending=[pending])

    monkeypatch.setattr(console, "status", everything)
    return site.sign_in()


def names(text: str) -> list[str]:
    return re.findall(r"<h3>(?:<a[^>]*>)?([\w-]+)", text)


def test_groups_are_headed_and_what_needs_somebody_is_first(site: Site, fleet: str) -> None:
    text = site.page("/", cookie=fleet).text
    assert re.findall(r"<h2>([^<]*)</h2>", text) == ["&lt;money&gt;", "shops", "In no group"]
    shops = ["shop-jp", "shop-us", "shop-eu", "late"]
    assert names(text) == ["billing", *shops, "scratch"]


def test_one_that_is_not_attached_says_why(site: Site, fleet: str) -> None:
    text = site.page("/", cookie=fleet).text
    assert "Tried 3 times since" in text
    assert "The server refuses connections." in text


def test_a_label_leaves_the_others_out(site: Site, fleet: str) -> None:
    text = site.page("/?label=region=eu", cookie=fleet).text
    assert names(text) == ["billing", "shop-eu"]
    part = site.page("/databases?label=region=eu", cookie=fleet).text
    assert names(part) == ["billing", "shop-eu"]
    none = site.page("/?label=%3Cb%3E=x", cookie=fleet).text
    assert "No database has the label &lt;b&gt;=x" in none


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("state=waiting", ["shop-jp"]),
        ("state=unreachable", ["late"]),
        ("group=shops&state=ok", ["shop-jp", "shop-eu"]),
        ("q=SHOP+us", ["shop-us"]),
        ("q=region%3Deu", ["billing", "shop-eu"]),
        ("q=nothing", []),
    ],
)
def test_the_list_is_searched_and_filtered(
    site: Site, fleet: str, query: str, left: list[str]
) -> None:
    assert names(site.page(f"/?{query}", cookie=fleet).text) == left
    assert names(site.page(f"/databases?{query}", cookie=fleet).text) == left
    asked = query.replace("q=", "words=")
    groups = site.program("GET", f"/api/v1/fleet?{asked}").decode(list[Group])
    found = [
        name
        for group in groups
        for name in [one.name for one in group.databases] + [one.name for one in group.pending]
    ]
    assert found == left


def test_a_state_that_there_is_not_is_refused(site: Site, fleet: str) -> None:
    assert site.page("/?state=%3Cb%3E", cookie=fleet).status == 400


def test_the_api_answers_with_the_same_groups(site: Site, fleet: str) -> None:
    groups = site.program("GET", "/api/v1/fleet").decode(list[Group])
    assert [group.name for group in groups] == ["<money>", "shops", ""]
    assert [one.key for one in groups[1].databases] == ["shop-jp", "shop-us", "shop-eu"]
    assert [one.name for one in groups[1].pending] == ["late"]
    labelled = site.program("GET", "/api/v1/fleet?label=region%3Deu").decode(list[Group])
    assert [one.key for group in labelled for one in group.databases] == ["billing", "shop-eu"]
    assert site.program("GET", "/api/v1/fleet?labl=region%3Deu").status == 422
