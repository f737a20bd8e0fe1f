"""The live page in a real browser: it keeps itself current, works by keyboard, is readable."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Page, expect

from tests.browser import OpenView, browser, view
from tests.web import scenes
from tests.web.fake import KEY, FakeConsole
from tests.web.site import Site, running_site, until

pytestmark = pytest.mark.slow
__all__ = ["browser", "view"]  # fixtures

CONTRAST_TEXT = 4.5  # WCAG 2.2, 1.4.3: normal text
CONTRAST = """
() => {
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const luminance = ([r, g, b]) => {
    const part = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = parse(getComputedStyle(one).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const bad = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const element = walker.currentNode.parentElement;
    if (!text || !element.checkVisibility() || element.closest("script, .hidden, svg")) continue;
    const [a, b] = [parse(getComputedStyle(element).color), behind(element)].map(luminance);
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < LIMIT) bad.push(`${ratio.toFixed(2)} ${element.className}: ${text.slice(0, 40)}`);
  }
  return bad;
}
"""


@pytest.fixture
def console() -> FakeConsole:
    return FakeConsole(time.time)


@pytest.fixture
def site(console: FakeConsole, tmp_path: Path) -> Iterator[Site]:
    with running_site(console, tmp_path) as running:
        yield running


def live(page: Page) -> None:
    """Wait until the page hears from the operator."""
    expect(page.locator("#live")).to_have_attribute("data-state", "live")


def enter(site: Site, view: OpenView, **how: Any) -> Page:
    """Sign in by a link and wait until the page is live."""
    page = view(site.access.new_link(), **how).page
    live(page)
    return page


def test_a_finding_and_its_remedy_appear_without_reload(
    site: Site, console: FakeConsole, view: OpenView
) -> None:
    page = enter(site, view)
    expect(page.locator("#findings")).to_contain_text("Nothing is wrong that is known of")
    page.evaluate("window.stayed = true")
    console.put_finding(scenes.finding(console))
    expect(page.locator("#finding-1")).to_contain_text("held while idle")
    expect(page.locator("#news")).to_have_text("Found: " + scenes.finding(console).what)
    expect(page.locator("h1")).to_contain_text("the pool of 4 connections is exhausted")
    console.put_remedy(scenes.remedy(console, "waiting"))
    expect(page.locator("#remedy-1 .badge")).to_have_text("Waiting for you")
    expect(page).to_have_title("(1) shop.db · Homeostat")
    console.put_finding(
        msgspec.structs.replace(scenes.finding(console), state="cleared", cleared=console.now())
    )
    expect(page.locator("#finding-1")).to_have_count(0)
    assert page.evaluate("window.stayed") is True


def test_an_event_soon_after_another_is_shown_without_a_third(
    site: Site, console: FakeConsole, view: OpenView
) -> None:
    page = enter(site, view)
    page.goto(f"{site.server.url}/db/{KEY}/remedies")  # asked for once a second at most
    live(page)
    console.put_remedy(scenes.remedy(console, "waiting"))
    badge = page.locator("#view .badge")
    expect(badge).to_have_text("Waiting for you")
    console.put_remedy(scenes.remedy(console, "kept"))  # within that second
    expect(badge).not_to_have_text("Waiting for you")


def test_ticks_move_the_numbers_pools_and_chart(
    site: Site, console: FakeConsole, view: OpenView
) -> None:
    page = enter(site, view)
    expect(page.locator("#chart-empty")).to_contain_text("Nothing was measured yet")
    console.put_tick(scenes.tick(console, p99=212.0, use=3.9))
    expect(page.locator("#state .numbers")).to_contain_text("212 ms")
    expect(page.locator("#pools")).to_contain_text("3.9 of 4")
    expect(page.locator("#traffic")).to_contain_text("INTJ")
    expect(page.locator("#chart canvas")).to_be_visible()
    expect(page.locator("#read-p99")).to_have_text("212 ms")
    expect(page.locator("#chart-caption")).to_contain_text("nothing before")


def test_a_decision_is_taken_by_keyboard_alone(
    site: Site, console: FakeConsole, view: OpenView
) -> None:
    scenes.waiting(console)
    page = enter(site, view)
    page.keyboard.press("a")
    expect(page.get_by_role("button", name="Approve: grow the pool").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#remedy-1 .card-head .badge")).to_have_text("Measuring")
    expect(page.locator("#news")).to_contain_text("is applied and being measured")
    assert console.remedy(1).remedy.decided_by == "page"
    # the button is gone, and the reader is still where the decision was
    expect(page.locator("#remedy-1 h3")).to_be_focused()

    def no_decision_waits() -> bool:
        page.keyboard.press("a")  # again, since other news may be read out just after it
        return page.locator("#news").text_content() == "No decision waits."

    until(no_decision_waits)


def test_reverting_asks_once_more(site: Site, console: FakeConsole, view: OpenView) -> None:
    scenes.kept(console)
    page = enter(site, view)
    page.get_by_text("Revert", exact=True).click()
    assert console.remedy(1).remedy.state == "kept"
    page.get_by_role("button", name="Yes, revert it").click()
    expect(page.locator("#remedy-1 .card-head .badge")).to_have_text("Undone")


def test_a_refused_decision_is_said_on_the_page(
    site: Site, console: FakeConsole, view: OpenView
) -> None:
    scenes.waiting(console)
    one = view(site.access.new_link())
    live(one.page)
    record = console.rows_remedies[1]
    console.rows_remedies[1] = msgspec.structs.replace(record, state="rejected")  # by someone else
    one.page.get_by_role("button", name="Approve").first.click()
    expect(one.page.locator("#notice")).to_contain_text("cannot be decided now")
    assert all("409" in problem for problem in one.problems)  # the browser's own note
    one.problems.clear()


def test_what_was_opened_stays_open_through_ticks(
    site: Site, console: FakeConsole, view: OpenView
) -> None:
    scenes.waiting(console)
    page = enter(site, view)
    page.locator("#finding-1 summary").click()
    page.locator("#finding-1 summary").focus()
    console.put_finding(msgspec.structs.replace(scenes.finding(console), severity="critical"))
    expect(page.locator("#finding-1 .badge")).to_have_text("Critical")
    expect(page.locator("#finding-1 .facts").last).to_be_visible()
    expect(page.locator("#finding-1 summary")).to_be_focused()


def test_the_list_of_databases_is_live(site: Site, console: FakeConsole, view: OpenView) -> None:
    console.keys = [KEY, "postgresql-1-2"]
    page = enter(site, view)
    expect(page.locator("#databases .badge").first).to_have_text("Well")
    console.fields = {"state": "trouble"}
    console.put_finding(scenes.finding(console))
    expect(page.locator("#databases .badge").first).to_have_text("Trouble")
    page.get_by_role("link", name="shop.db").first.click()
    live(page)
    expect(page.locator("h1")).to_contain_text("is exhausted")


def test_pausing_and_resuming(site: Site, console: FakeConsole, view: OpenView) -> None:
    page = enter(site, view)
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#state")).to_contain_text("observing goes on, nothing is applied")
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()


@pytest.mark.parametrize("scene", scenes.SCENES)
@pytest.mark.parametrize("width", [390, 768])
def test_nothing_is_cut_off_or_scrolls_sideways(
    site: Site, console: FakeConsole, view: OpenView, scene: str, width: int
) -> None:
    scenes.SCENES[scene](console)
    page = enter(site, view, width=width)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("scene", scenes.SCENES)
def test_text_has_contrast(
    site: Site,
    console: FakeConsole,
    view: OpenView,
    scene: str,
    dark: bool,  # noqa: FBT001
) -> None:
    scenes.SCENES[scene](console)
    page = enter(site, view, dark=dark, still=True)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.evaluate(CONTRAST.replace("LIMIT", str(CONTRAST_TEXT))) == []


def test_everything_is_reached_by_tab_and_the_focus_is_seen(
    site: Site, console: FakeConsole, view: OpenView
) -> None:
    scenes.waiting(console)
    page = enter(site, view)
    seen: list[str] = []
    for _ in range(80):
        page.keyboard.press("Tab")
        name, outline = page.evaluate(
            """() => { const e = document.activeElement, s = getComputedStyle(e);
                return e === document.body ? ["", ""]
                  : [e.textContent.trim() || e.id,
                     s.outlineStyle + parseFloat(s.outlineWidth)]; }"""
        )
        if not name:
            break  # past the last one
        assert outline == "solid3", name
        seen.append(name)
    assert {"Approve", "Reject", "Pause", "1 h", "Evidence", "Stop observing this database"} <= set(
        seen
    )


def test_headings_regions_and_tables_are_named(
    site: Site, console: FakeConsole, view: OpenView
) -> None:
    scenes.undone(console)
    page = enter(site, view)
    levels = page.evaluate(
        "[...document.querySelectorAll('h1, h2, h3')].map((one) => Number(one.tagName[1]))"
    )
    assert levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(levels))
    assert page.locator("table:not(:has(caption))").count() == 0
    assert page.locator("section:not([aria-labelledby])").count() == 0
    expect(page.locator("#news")).to_have_attribute("aria-live", "polite")
    label = page.locator("#chart").get_attribute("aria-label") or ""
    assert "promised 50 ms" in label


def test_with_reduced_motion_nothing_moves(
    site: Site, console: FakeConsole, view: OpenView
) -> None:
    scenes.trouble(console)
    page = enter(site, view, still=True)
    assert page.evaluate("document.getAnimations().length") == 0


def test_a_cut_stream_is_said_and_resumed_without_loss(
    console: FakeConsole, view: OpenView, tmp_path: Path
) -> None:
    with running_site(console, tmp_path) as before:
        port = before.port
        one = view(before.access.new_link())
        page = one.page
        live(page)
        page.evaluate("window.stayed = true")
    expect(page.locator("#cut")).to_be_visible()
    expect(page.locator("#live")).to_have_text("Cut off")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#notice")).to_contain_text("was not confirmed")
    console.put_finding(scenes.finding(console))  # while nobody listens
    with running_site(console, tmp_path, port=port):
        live(page)
        expect(page.locator("#cut")).to_be_hidden()
        expect(page.locator("#notice")).to_be_empty()
        expect(page.locator("#finding-1")).to_be_visible()
        assert page.evaluate("window.stayed") is True
        one.problems.clear()  # the browser's notes of refused connections


def test_a_frozen_operator_is_noticed(site: Site, console: FakeConsole, view: OpenView) -> None:
    page = view("about:blank").page
    page.clock.install()
    page.goto(site.access.new_link())
    live(page)
    loop = site.pump._loop
    assert loop is not None
    thaw = threading.Event()
    loop.call_soon_threadsafe(thaw.wait, 60)  # the server's loop stands still
    try:
        page.clock.fast_forward(12_000)  # two missed beats
        expect(page.locator("#cut")).to_be_hidden()
        page.clock.fast_forward(6_000)
        expect(page.locator("#cut")).to_contain_text("Nothing was heard")
    finally:
        thaw.set()
    live(page)
    expect(page.locator("#cut")).to_be_hidden()


def test_the_end_of_a_sign_in_is_said(site: Site, console: FakeConsole, view: OpenView) -> None:
    one = view(site.access.new_link())
    live(one.page)
    one.page.context.clear_cookies()
    console.put_finding(scenes.finding(console))
    expect(one.page.locator("h1")).to_have_text("Sign in with a link")
    one.problems.clear()


def test_the_first_paint_is_quick(site: Site, console: FakeConsole, view: OpenView) -> None:
    scenes.undone(console)
    page = enter(site, view)
    times: list[float] = []
    while len(times) < 10 and min(times, default=300) >= 300:  # other work may slow one down
        page.goto(f"{site.server.url}/db/{KEY}")
        live(page)
        until(lambda: page.evaluate(PAINT) is not None)
        times.append(page.evaluate(PAINT))
    assert min(times) < 300, times


PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
