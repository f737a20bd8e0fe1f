"""The demo's buttons: there only in the demo, for those who may, by keyboard, kept current."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from homeostat.errors import NotFoundError
from homeostat.operate.views import Console
from homeostat.web.troubles import TroubleView
from tests.browser import OpenView, browser, view
from tests.web.fake import KEY, FakeConsole
from tests.web.site import Site, running_site

__all__ = ["browser", "view"]  # fixtures

BUTTON = "#troubles li[data-trouble=dropped-index] button"
TABS_MAX = 30


class FakeTroubles:
    """Switches nothing but itself, and tells the audit log as the demo does."""

    def __init__(self, console: FakeConsole) -> None:
        self.console = console
        self.on: set[str] = set()
        self.actors: list[str] = []

    def attach(self, console: Console) -> None:
        """Have one already."""

    def list(self) -> list[TroubleView]:
        """See Troubles."""
        return [self._view(name) for name in ("dropped-index", "lock-holder")]

    def switch(self, name: str, *, on: bool, actor: str) -> TroubleView:
        """See Troubles."""
        if name not in {"dropped-index", "lock-holder"}:
            raise NotFoundError("No trouble has this name.", where=name)
        (self.on.add if on else self.on.discard)(name)
        self.actors.append(actor)
        self.console.put_audit("trouble on" if on else "trouble off", name, actor=actor)
        return self._view(name)

    def _view(self, name: str) -> TroubleView:
        return TroubleView(name, f"what {name} does", "It is mended.", name in self.on)


@pytest.fixture
def console() -> FakeConsole:
    return FakeConsole(time.time)


@pytest.fixture
def troubles(console: FakeConsole) -> FakeTroubles:
    return FakeTroubles(console)


@pytest.fixture
def demo(console: FakeConsole, troubles: FakeTroubles, tmp_path: Path) -> Iterator[Site]:
    with running_site(console, tmp_path, troubles=troubles) as running:
        yield running


def test_programs_switch_troubles_and_see_what_is_on(demo: Site, troubles: FakeTroubles) -> None:
    answer = demo.program("POST", "/api/v1/troubles/lock-holder/on")
    assert answer.decode(TroubleView).on
    found = demo.program("GET", "/api/v1/troubles").decode(list[TroubleView])
    assert [(one.name, one.on) for one in found] == [
        ("dropped-index", False),
        ("lock-holder", True),
    ]
    assert not demo.program("POST", "/api/v1/troubles/lock-holder/off").json()["on"]
    assert troubles.on == set()
    assert demo.program("POST", "/api/v1/troubles/flood/on").status == 404
    assert demo.program("POST", "/api/v1/troubles/lock-holder/up").status == 404


def test_any_other_operator_has_nothing_to_break(console: FakeConsole, tmp_path: Path) -> None:
    with running_site(console, tmp_path) as site:
        assert site.program("GET", "/api/v1/troubles").json() == []
        assert site.program("POST", "/api/v1/troubles/dropped-index/on").status == 404
        assert "Break it" not in site.page(f"/db/{KEY}", cookie=site.sign_in()).text


def test_only_who_may_decide_may_break(demo: Site, troubles: FakeTroubles) -> None:
    made = demo.program("POST", "/api/v1/tokens", body={"name": "kim", "role": "viewer"}).json()
    asked = {"Authorization": f"Bearer {made['token']}"}
    path = "/api/v1/troubles/dropped-index/on"
    assert demo.request("POST", path, headers=asked).status == 403
    assert demo.request("POST", path).status == 401
    assert demo.request("GET", "/api/v1/troubles", headers=asked).status == 200
    cookie = demo.sign_in()
    form = f"/db/{KEY}/troubles/dropped-index/on"
    assert demo.form(form, cookie=cookie).status == 403, "without the page's token"
    theirs = {"Origin": "http://evil.example"}
    assert demo.form(form, cookie=cookie, csrf=demo.csrf(cookie), headers=theirs).status == 403
    assert troubles.actors == []


def test_a_button_works_without_a_script(demo: Site, troubles: FakeTroubles) -> None:
    cookie = demo.sign_in()
    page = demo.page(f"/db/{KEY}", cookie=cookie).text
    assert "What dropped-index does" in page
    form = f"/db/{KEY}/troubles/dropped-index/on"
    answer = demo.form(form, cookie=cookie, csrf=demo.csrf(cookie))
    assert (answer.status, answer.headers["location"]) == (303, f"/db/{KEY}")
    assert troubles.on == {"dropped-index"}
    assert "End it" in demo.page(f"/db/{KEY}", cookie=cookie).text


@pytest.mark.slow
def test_the_page_breaks_and_mends_by_keyboard(
    demo: Site, troubles: FakeTroubles, view: OpenView
) -> None:
    opened = view(demo.access.new_link())
    page = opened.page
    expect(page.locator("#live")).to_have_attribute("data-state", "live")
    expect(page.locator(BUTTON)).to_have_accessible_name("Break it: dropped-index")
    for _ in range(TABS_MAX):
        page.keyboard.press("Tab")
        if page.evaluate("(one) => document.activeElement.matches(one)", BUTTON):
            break
    page.keyboard.press("Enter")
    expect(page.locator(BUTTON)).to_have_text("End it")
    expect(page.locator(BUTTON)).to_be_focused()
    assert troubles.on == {"dropped-index"}
    page.keyboard.press("Enter")
    expect(page.locator(BUTTON)).to_have_text("Break it")
    troubles.switch("lock-holder", on=True, actor="demo")  # the story did
    expect(page.locator("#troubles li[data-trouble=lock-holder]")).to_contain_text("On")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert opened.problems == []
