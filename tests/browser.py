"""A real Chromium for tests of pages; import `browser` and `view` into a conftest to use them.

A view that saw an error, a warning or a breach of the content policy fails its test at the end,
unless the test expects it and clears `View.problems`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TIMEOUT_MS = 10_000


@dataclass
class View:
    """An open page and what its console said."""

    page: Page
    problems: list[str] = field(default_factory=list)

    def listen(self) -> None:
        """Note everything that went wrong from now on."""

        def said(message: ConsoleMessage) -> None:
            if message.type in {"error", "warning"}:
                self.problems.append(message.text)

        self.page.on("console", said)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))


OpenView = Callable[..., View]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a Chromium that talks to nobody but the pages it is given."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=ARGUMENTS, timeout=30_000
        )
        try:
            yield browser
        finally:
            browser.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Run one Chromium for the module."""
    if not CHROMIUM.exists():
        pytest.fail(f"{CHROMIUM} is missing; `apt-get install chromium` installs it")
    with chromium() as running:
        yield running


@pytest.fixture
def view(browser: Browser) -> Iterator[OpenView]:
    """Return a function that opens a page: `view(url, width=390, dark=True)`."""
    opened: list[View] = []

    def open_view(
        url: str, *, width: int = 1280, height: int = 900, dark: bool = False, still: bool = False
    ) -> View:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce" if still else "no-preference",
        )
        context.set_default_timeout(TIMEOUT_MS)
        one = View(context.new_page())
        one.listen()
        opened.append(one)
        one.page.goto(url)
        return one

    yield open_view
    problems = [problem for one in opened for problem in one.problems]
    for one in opened:
        one.page.context.close()
    assert not problems, "\n".join(problems)
