"""Every page in a real browser: axe finds nothing, nothing is cut off, all of it by keyboard."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser import OpenView, browser, view
from tests.web import rich
from tests.web.fake import KEY, FakeConsole
from tests.web.site import Site, running_site

pytestmark = pytest.mark.slow
__all__ = ["browser", "view"]  # fixtures

OPEN_ALL = "document.querySelectorAll('details').forEach((one) => { one.open = true; })"
AXE = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
RUN = """() => axe.run({ resultTypes: ["violations"] }).then((found) => found.violations.map(
  (one) => `${one.id}: ${one.nodes.map((node) => node.html).slice(0, 3).join(" | ")}`))"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    console = FakeConsole(time.time)
    rich.fill(console)
    with running_site(console, tmp_path_factory.mktemp("data")) as running:
        yield running


@pytest.fixture
def page(site: Site, view: OpenView) -> Page:
    one = view(site.access.new_link(), still=True).page
    expect(one.locator("#live")).to_have_attribute("data-state", "live")
    return one


def violations(page: Page) -> list[str]:
    page.evaluate(AXE)
    found: list[str] = page.evaluate(RUN)
    return found


@pytest.mark.parametrize(
    "path", [f"/db/{KEY}{name}" for name in rich.PAGES] + ["/search?q=a", "/?q=shop"]
)
def test_axe_finds_nothing_in_light_dark_and_on_a_phone(site: Site, page: Page, path: str) -> None:
    page.goto(f"{site.server.url}{path}")
    page.evaluate(OPEN_ALL)
    assert violations(page) == []
    page.emulate_media(color_scheme="dark")
    assert violations(page) == []
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert violations(page) == []
    levels = page.evaluate(
        "[...document.querySelectorAll('h1, h2, h3')].map((one) => Number(one.tagName[1]))"
    )
    assert levels.count(1) == 1
    assert page.evaluate("document.getAnimations().length") == 0


@pytest.mark.long
def test_axe_finds_nothing_where_there_is_nothing_to_show_or_something_failed(
    view: OpenView, tmp_path: Path
) -> None:
    pages = [f"/db/{KEY}{name}" for name in rich.PAGES if name.count("/") < 2]  # not one of none
    with running_site(FakeConsole(time.time), tmp_path) as empty:
        one = view(empty.access.new_link(), still=True)
        for path in (*pages, "/?q=nothing", "/nothing", f"/db/{KEY}/report?days=0"):
            one.page.set_viewport_size({"width": 1280, "height": 800})
            one.page.goto(f"{empty.server.url}{path}")
            for scheme in ("light", "dark"):
                one.page.emulate_media(color_scheme=scheme)
                assert violations(one.page) == [], path
            one.page.set_viewport_size({"width": 390, "height": 844})
            assert one.page.evaluate("document.documentElement.scrollWidth") == 390, path
            assert violations(one.page) == [], path
        one.problems.clear()  # the console tells of pages that failed, as they should


def test_a_view_changes_without_reload_and_back_leads_back(site: Site, page: Page) -> None:
    page.goto(f"{site.server.url}/db/{KEY}/performance")
    page.evaluate("window.stayed = true")
    expect(page.locator("#throughput canvas")).to_be_visible()
    page.get_by_role("link", name="24 h").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="24 h")).to_have_attribute("aria-current", "true")
    page.get_by_role("link", name="A week earlier").click()
    expect(page).to_have_url(re.compile("range=24h&compare=week"))
    expect(page.locator(".keys")).to_contain_text("a week earlier")
    page.go_back()
    expect(page.get_by_role("link", name="Nothing")).to_have_attribute("aria-current", "true")
    assert page.evaluate("window.stayed") is True
    expect(page.locator("#throughput canvas")).to_have_count(1)


def test_dragging_over_a_chart_looks_closer_under_an_address(site: Site, page: Page) -> None:
    page.goto(f"{site.server.url}/db/{KEY}/performance")
    box: Any = page.locator("#throughput .u-over").bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    read = page.locator("#throughput .read")
    expect(read).not_to_have_text("80/s")  # the pointed value, not the mean
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 60, steps=4)
    page.mouse.up()
    expect(page).to_have_url(re.compile(r"from=\d+&until=\d+"))


def test_slash_goes_to_search_and_enter_searches(site: Site, page: Page) -> None:
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type("orders")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/search"))
    expect(page.locator("main .hits a")).to_have_count(1)


def test_nothing_comes_from_another_host(site: Site, page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for name in ("/performance", "/tables", ""):
        page.goto(f"{site.server.url}/db/{KEY}{name}")
        page.locator("main").wait_for()
    assert asked
    assert all(url.startswith(site.server.url) for url in asked)


def test_a_view_follows_events(site: Site, page: Page) -> None:
    console: Any = site.console
    page.goto(f"{site.server.url}/db/{KEY}/audit")
    expect(page.locator("#live")).to_have_attribute("data-state", "live")
    console.put_audit("approve", "remedy 1", actor="ann-from-abroad")
    expect(page.locator("main")).to_contain_text("ann-from-abroad")
