"""How long `homeostat demo` takes, from its start as a person starts it to what they see.

- The first answer of the page: the sign-in link is printed, and the page behind it was received.
- The first paint of that page in a headless Chromium that is open already, by the browser's own
  clock (Paint Timing); also the time from opening the link to that paint.
- Traffic is live and its p99 known; the first remedy was applied, measured and kept.

Each start has a new data directory. All is wall-clock time: on a machine with other work it is
longer, so the load average at the start is told. The paint needs playwright and Chromium
(`uv run --group dev python -m bench.demo`); without them it is left out, and that is said.
"""

from __future__ import annotations

import http.client
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bench.harness import Figure, Options, Repeats, main, progress, rounded
from bench.processes import PROGRAM, stop, wait_for
from homeostat.cli.client import Client

if TYPE_CHECKING:
    from playwright.sync_api import Browser

USERS = 100_000
USERS_QUICK = 10_000
STARTS = 3
WHOLE_SECONDS_MAX = 240.0
WHOLE_SECONDS_MAX_QUICK = 41.0
SEEN_GOAL_SECONDS = 60.0
KEPT_GOAL_SECONDS = 90.0  # after the start of the traffic
PAINTS = "performance.getEntriesByName('first-paint')"
PAINTED = f"() => {PAINTS}.length > 0"
PAINT = f"() => [performance.timeOrigin / 1000, {PAINTS}[0].startTime / 1000]"


@dataclass(slots=True)
class Start:
    """One start of the demo: seconds since its start, unless said otherwise.

    Attributes:
        answer: the page was received.
        painted: the browser painted it first, and the seconds from opening the link to that;
            None: there is no browser.
        live: p99 is known.
        kept: the first remedy was kept; None: not in the time given.
    """

    answer: float
    painted: tuple[float, float] | None
    live: float
    kept: float | None


@contextmanager
def demo(
    data: Path,
    *arguments: str,
    users: int,
    seconds: float,
    environment: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Run the demo; yield its first sign-in link, which must come within the seconds."""
    process = subprocess.Popen(
        [*PROGRAM, "demo", "--data", str(data), "--users", str(users), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
    )
    lines: list[str] = []

    def read() -> None:
        if process.stdout is not None:
            lines.extend(process.stdout)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()

    def link() -> str | None:
        if process.poll() is not None:
            raise RuntimeError("the demo ended:\n" + "".join(lines))
        return next((line.split()[-1] for line in list(lines) if "/login?" in line), None)

    try:
        wait_for(link, seconds, "the sign-in link")
        yield link() or ""
    finally:
        stop(process)
        reader.join()


def fetch(link: str) -> None:
    """Open a sign-in link and receive the page, as a browser does.

    Raises:
        RuntimeError: it was not answered with a page.
    """
    parts = urlsplit(link)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    path, cookies = f"{parts.path}?{parts.query}", ""
    for _ in range(3):
        connection.request("GET", path, headers={"Cookie": cookies, "Accept": "text/html"})
        answer = connection.getresponse()
        body = answer.read()
        cookies = (answer.headers["Set-Cookie"] or cookies).split(";")[0]
        if answer.status == http.HTTPStatus.OK and b"</html>" in body:
            connection.close()
            return
        path = answer.headers["Location"] or path
    connection.close()
    message = f"the page was answered with {answer.status}"
    raise RuntimeError(message)


@contextmanager
def open_browser() -> Iterator[Browser | None]:
    """Run Chromium; yield None where there is none or no playwright."""
    try:
        from tests.browser import CHROMIUM, chromium  # noqa: PLC0415  of the group dev
    except ModuleNotFoundError:
        progress("no first paint: playwright is missing; use `uv run --group dev`")
        yield None
        return
    if not CHROMIUM.exists():
        progress(f"no first paint: {CHROMIUM} is missing")
        yield None
        return
    with chromium() as browser:
        yield browser


def paint(browser: Browser, link: str) -> tuple[float, float]:
    """Open a link; return when, in seconds since 1970 UTC, and seconds until the first paint."""
    page = browser.new_page()
    try:
        page.goto(link, wait_until="commit")
        page.wait_for_function(PAINTED, timeout=10_000)
        opened, seconds = page.evaluate(PAINT)
        return float(opened), float(seconds)
    finally:
        page.close()


def measure(browser: Browser | None, *, users: int, patience: float) -> Start:
    """Start the demo once in a new data directory; give it so many seconds in all."""
    with tempfile.TemporaryDirectory() as name:
        data = Path(name) / "data"
        began, wall = time.monotonic(), time.time()

        def left() -> float:
            return began + patience - time.monotonic()

        with demo(data, users=users, seconds=patience) as link:
            fetch(link)
            answer = time.monotonic() - began
            client = Client(data)
            painted = None
            if browser is not None:
                opened, opening = paint(browser, client.link())
                painted = opened + opening - wall, opening
            wait_for(lambda: p99(client) is not None, left(), "a known p99")
            live = time.monotonic() - began
            kept = None
            try:
                wait_for(lambda: "kept" in states(client), left(), "a remedy that is kept")
                kept = time.monotonic() - began
            except RuntimeError as error:
                progress(str(error))
        return Start(answer, painted, live, kept)


def p99(client: Client) -> float | None:
    """Return the p99 that the operator knows."""
    databases = client.status().databases
    return databases[0].p99_ms if databases else None


def states(client: Client) -> list[str]:
    """Return the states of all remedies."""
    return [record.state for record in client.remedies()]


def figures(options: Options) -> Iterator[Figure]:
    """Start the demo so many times; yield medians."""
    users = USERS_QUICK if options.quick else USERS
    patience = WHOLE_SECONDS_MAX_QUICK if options.quick else WHOLE_SECONDS_MAX
    load = os.getloadavg()[0]
    starts = []
    with open_browser() as browser:
        for number in range(count := 1 if options.quick else STARTS):
            progress(f"start {number + 1} of {count}, {users} users")
            starts.append(measure(browser, users=users, patience=patience))
    parameters = {"users": users, "load_average": rounded(load)}
    seen = SEEN_GOAL_SECONDS
    yield _figure("answer", [one.answer for one in starts], goal=seen, parameters=parameters)
    painted = [one.painted for one in starts if one.painted is not None]
    if painted:
        yield _figure("paint", [at for at, _ in painted], goal=seen, parameters=parameters)
        opening = Repeats(tuple(seconds for _, seconds in painted))
        yield opening.figure("demo.page_paint", "ms", scale=1000, parameters=parameters)
    yield _figure("live", [one.live for one in starts], goal=seen, parameters=parameters)
    kept = [one.kept for one in starts if one.kept is not None]
    if len(kept) == len(starts):
        whole = seen + KEPT_GOAL_SECONDS
        yield _figure("kept", kept, goal=whole, parameters=parameters)


def _figure(
    name: str, seconds: list[float], *, goal: float, parameters: dict[str, float]
) -> Figure:
    repeats = Repeats(tuple(seconds))
    return repeats.figure(
        f"demo.{name}",
        "s",
        peer=f"the goal of at most {goal:g} s",
        ratio=repeats.median / goal,
        engine="sqlite",
        parameters=parameters,
    )


if __name__ == "__main__":
    main(figures, about=__doc__ or "")
