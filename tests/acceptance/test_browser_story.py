"""The demo's story as a person sees it: in Chromium, on each engine, without ever reloading."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, Request, Response, expect

from tests.acceptance.demo_process import Demo, demo
from tests.browser import OpenView, View, browser, view

pytestmark = [pytest.mark.slow, pytest.mark.timed]
__all__ = ["browser", "view"]  # fixtures

CHAPTER_MS = 120_000  # 90 s are promised for the whole story, on a quiet machine
RETURN_MS = 60_000
UNDONE = ("Undone, did not help", "Undone")  # a lock holder's swings may hide that it did not help
ENDS = "Kept|Undone|Undone, did not help|Refused|Failed|Rejected"
STOP_SECONDS = 3.0
TABS_MAX = 40
GONE = re.compile(r"net::ERR_(CONNECTION_REFUSED|CONNECTION_RESET|INCOMPLETE_CHUNKED|EMPTY_RESP)")
LISTEN = """
() => {
  const news = document.querySelector("#news");
  window.news = [];
  new MutationObserver(() => window.news.push(news.textContent)).observe(news, {
    childList: true, characterData: true, subtree: true,
  });
}
"""
DOTS = """
() => {
  // the tones of the dots on top of the chart's marks, from left to right
  const canvas = document.querySelector("#chart canvas");
  const style = getComputedStyle(document.documentElement);
  const tones = new Map(["accent", "good", "undone"].map((tone) => {
    const hex = style.getPropertyValue(`--${tone}`).trim().slice(1);
    return [[0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16)).join(), tone];
  }));
  const top = document.querySelector("#chart .u-over").offsetTop * devicePixelRatio;
  const copy = Object.assign(document.createElement("canvas"), { width: canvas.width, height: 1 });
  const drawn = copy.getContext("2d", { willReadFrequently: true });
  drawn.drawImage(canvas, 0, 4 - top);
  const row = drawn.getImageData(0, 0, canvas.width, 1).data;
  const found = [];
  let before = "";
  for (let i = 0; i < row.length; i += 4) {
    const tone = tones.get([...row.slice(i, i + 3)].join()) || "";
    if (tone && tone !== before) found.push(tone);
    before = tone;
  }
  return found;
}
"""


class Story:
    """The page of the running demo, and what went wrong on it."""

    def __init__(self, view: OpenView, running: Demo) -> None:
        """Open the demo's one-time link in a browser that has never seen it."""
        self.running = running
        self.opened: View = view("about:blank")
        self.page: Page = self.opened.page
        self.failed: list[str] = []
        self.page.on("requestfailed", self._failed)
        self.page.on("response", self._answered)
        self.page.goto(running.link())
        self.live()
        self.page.evaluate("window.stayed = true")
        self.page.evaluate(LISTEN)

    def _failed(self, request: Request) -> None:
        self.failed.append(f"{request.failure} {request.url}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self.failed.append(f"{response.status} {response.url}")

    def live(self) -> None:
        """Wait until the page hears from the operator."""
        live = self.page.locator("#live")
        expect(live).to_have_attribute("data-state", "live", timeout=RETURN_MS)

    def remedy(self, title: str, times: int = 1) -> Locator:
        """Return the card of the n-th remedy of this title, which is the newest."""
        cards = self.page.locator("article[id^=remedy-]").filter(has_text=title)
        expect(cards).to_have_count(times, timeout=CHAPTER_MS)
        return cards.first

    def ends(self, card: Locator, *badges: str) -> str:
        """Wait until a remedy has reached a state; return its verdict."""
        state = card.locator(".card-head .badge")
        ended = re.compile(f"^({'|'.join([ENDS, *badges])})$")
        expect(state).to_have_text(ended, timeout=CHAPTER_MS)
        assert state.inner_text() in badges, f"{card.inner_text()}\n{self.running.text}"
        return card.locator(".verdict").inner_text() if card.locator(".verdict").count() else ""

    def finding(self, words: str) -> Locator:
        """Return the cards of open findings that say so."""
        return self.page.locator("#findings article").filter(has_text=re.compile(words))

    def dots(self) -> list[str]:
        """Return the tones of the marks that the chart shows now."""
        found: list[str] = self.page.evaluate(DOTS)
        return found

    def number(self, name: str) -> str:
        """Return one of the numbers below the headline."""
        tile = self.page.locator(".numbers > div", has_text=name)
        return tile.locator("dd").first.inner_text()

    def hears(self, words: str) -> None:
        """Wait until news of this kind was read aloud."""
        told = "(words) => window.news.some((one) => one.includes(words))"
        self.page.wait_for_function(told, arg=words, timeout=RETURN_MS)

    def flawless(self) -> None:
        """Hold that nothing failed and the page was never loaded again."""
        assert self.failed == []
        assert self.opened.problems == []  # breaches of the content policy are told there as well
        assert self.page.evaluate("window.stayed") is True

    def forget_the_cut(self) -> None:
        """Hold that only connections to an operator that is gone have failed; forget them."""
        wrong = [one for one in [*self.failed, *self.opened.problems] if not GONE.search(one)]
        assert wrong == []
        self.failed.clear()
        self.opened.problems.clear()


def approve_by_shortcut(page: Page) -> None:
    page.keyboard.press("a")
    expect(page.locator("#state button.approve")).to_be_focused()
    page.keyboard.press("Enter")


def approve_by_tab(page: Page) -> None:
    for _ in range(TABS_MAX):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('button.approve')"):
            page.keyboard.press("Enter")
            return
    pytest.fail("Tab does not lead to the decision")


def told(running: Demo, kind: str, times: int = 1) -> str:
    """Return what the terminal said of this kind the n-th time, as the page writes it."""
    line = running.until(rf"^ *\d+:\d\d +({kind}) ", 5.0, times=times)
    text = re.split(kind, line, maxsplit=1)[1].strip()
    return text[:1].upper() + text[1:].replace(" -> ", " \u2192 ")


def see_the_index_kept(story: Story, running: Demo) -> None:
    found = story.finding("^list_online|list_online:")
    expect(found).to_contain_text("missing index", timeout=CHAPTER_MS)
    built = story.remedy("(started_ms) where ended_ms IS NULL")
    verdict = story.ends(built, "Kept")
    assert "the new index was used" in verdict
    assert told(running, "kept") in verdict
    expect(built.locator(".move").nth(1)).to_contain_text("on the clone list_online took")
    assert story.dots() == ["accent", "good"]


def see_the_first_growth_kept(story: Story, running: Demo) -> None:
    found = story.finding("pool of 4 connections is exhausted")
    expect(found).to_contain_text("held while idle", timeout=CHAPTER_MS)
    expect(found).to_contain_text("sync_partner_profile")
    grown = story.remedy("from 4 to 8")
    verdict = story.ends(grown, "Kept")
    assert re.search(r"Mean latency [\d.,]+ \u2192 [\d.,]+ ms \(-\d[\d.]*%\)", verdict), verdict
    assert told(running, "kept", 2) in verdict
    expect(grown.locator(".strip-dot")).to_have_count(12)
    assert story.dots() == ["accent", "good"] * 2
    assert (story.number("Healed"), story.number("Undone")) == ("2", "0")


def see_the_second_end_without_effect(story: Story, running: Demo) -> None:
    grown = story.remedy("from 8 to 16")
    verdict = story.ends(grown, *UNDONE)
    assert re.search("nightly.report", verdict), verdict  # its finding may come and go meanwhile
    assert told(running, "ineffective|reverted") in verdict
    expect(grown.locator(".move").last).to_contain_text(re.compile("Ineffective|Revert"))
    assert story.dots() == [*["accent", "good"] * 2, "accent", "undone"]


def see_the_third_wait(story: Story) -> None:
    story.ends(story.remedy("from 8 to 16", 2), "Waiting for you")
    page = story.page
    expect(page.locator("h1")).to_have_text(
        "Grow the pool of persona-app from 8 to 16 connections?"
    )
    expect(page.locator("#state")).to_contain_text(
        re.compile("Tried before: it (did not help and )?was undone")
    )
    expect(page).to_have_title(re.compile(r"^\(1\) "))
    assert [story.number(name) for name in ("Healed", "Undone", "Waiting")] == ["2", "1", "1"]
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.set_viewport_size({"width": 1280, "height": 900})


def see_the_demo_end_and_come_back(
    story: Story, running: Demo, data: Path, arguments: list[str]
) -> None:
    page = story.page
    assert running.interrupt() < STOP_SECONDS
    assert running.exit_code == 0
    assert "Traceback" not in running.text
    expect(page.locator("#cut")).to_contain_text("The operator does not answer")
    expect(page.locator("#cut")).to_contain_text("What you see is from")
    expect(page.locator("#live")).to_have_text("Cut off")
    with demo(data, *arguments) as again:
        assert "found as it was" in again.until("sample app", RETURN_MS / 1000)
        story.live()
        expect(page.locator("#cut")).to_be_hidden()
        expect(page.locator("#log li").first).to_contain_text("Attached")
        expect(page.locator("#pools")).to_contain_text("of 16", timeout=RETURN_MS)
        story.forget_the_cut()
        again.until("told before", RETURN_MS / 1000)
        story.flawless()
        assert again.interrupt() < STOP_SECONDS
    expect(page.locator("#live")).to_have_text("Cut off")
    story.forget_the_cut()


def test_the_story_is_seen_without_a_reload(
    tmp_path: Path, arguments: list[str], view: OpenView
) -> None:
    data = tmp_path / "data"
    with demo(data, *arguments) as running:
        story = Story(view, running)
        see_the_index_kept(story, running)
        see_the_first_growth_kept(story, running)
        see_the_second_end_without_effect(story, running)
        see_the_third_wait(story)
        (approve_by_tab if "--engine" in arguments else approve_by_shortcut)(story.page)
        story.hears("is being rehearsed")
        grown = story.remedy("from 8 to 16", 2)
        story.ends(grown, "Kept")
        expect(grown.locator(".move").first).to_contain_text("approved by page")
        assert story.dots() == [*["accent", "good"] * 2, "accent", "undone", "accent", "good"]
        story.flawless()
        see_the_demo_end_and_come_back(story, running, data, arguments)
