"""The pages over a year of samples: how long until something is painted, and what the server takes.

An operator observes a SQLite file; its samples hold 300 series and 40 histogram series over 400
days, made as in `bench.samples` and named as what the charts show. Chromium opens each page anew;
`first_paint` is its own first contentful paint since the navigation began, `drawn` the time until
all charts of the year are on their canvas. `server` is the time of one request without a browser.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from playwright.sync_api import Page

from bench import samples as year
from bench.harness import Figure, Options, Repeats, main, progress, repeated
from homeostat.config import Config, OperateConfig
from homeostat.driver import sqlite
from homeostat.driver.identity import sqlite_key
from homeostat.main import prepare_data
from homeostat.monitor import ProductionMonitoring
from homeostat.operate.console import OperatorConsole
from homeostat.operate.operator import Operator
from tests.browser import chromium
from tests.web.site import Site, running_site

GOAL_MS = 1000.0
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
DRAWN = """() => {
  const places = [...document.querySelectorAll("[data-chart]")];
  return places.length > 0 && places.every((one) => one.querySelector("canvas"));
}"""
PAGES = {
    "overview": "",
    "year": "/performance?range=1y",
    "year_beside_year": "/performance?range=1y&compare=before",
    "hour": "/performance?range=1h",
    "statements": "/statements",
    "tables": "/tables",
    "audit": "/audit",
}
CHARTED = (
    "operation.rate", "operation.errors", "database.size_bytes", "disk.used_share",
    "sqlite.wal_bytes", "sqlite.free_pages_share", "database.answer_ms", "sqlite.probe_ms",
    "database.answered_share", "locks.blocked_by_one",
)  # fmt: skip


def rename(path: Path, key: str) -> None:
    """Give the first series the names that the charts ask for."""
    with closing(sqlite.connect(path)) as wire:
        wire.execute("UPDATE series SET database = :key", {"key": key})
        for number, metric in enumerate(CHARTED, 1):
            wire.execute(
                "UPDATE series SET metric = :metric, subject = 'database' WHERE id = :number",
                {"metric": metric, "number": number},
            )
        wire.execute(
            "UPDATE series SET metric = 'operation.latency_us', subject = 'database' "
            "WHERE id = :number",
            {"number": year.SERIES + 1},
        )


@contextmanager
def observed(directory: Path) -> Iterator[tuple[Site, str]]:
    """Run an operator that has observed for a year, and its page."""
    file = directory / "app.db"
    sqlite.connect(file, create=True).close()
    data = directory / "data"
    prepare_data(data)
    progress("filling a year")
    clock = year.fill(data / "samples.db", with_histograms=True)
    config = Config(operate=OperateConfig(lease_seconds=1e9))
    key = sqlite_key(str(file))
    rename(data / "samples.db", key)
    room = ProductionMonitoring(config).room()
    operator = Operator(data, rooms=[room], config=config, clock=clock)
    try:
        operator.attach(str(file))
        for probe in room.probes:
            operator.attached[key].watch.tick(probe)
        console = OperatorConsole(operator)
        with running_site(console, data, clock=clock) as site:  # type: ignore[arg-type]
            yield site, key
    finally:
        operator.stop()


def measure_page(page: Page, url: str, *, times: int) -> tuple[Repeats, Repeats]:
    """Return the seconds until the first paint, and until all charts are drawn (or again that)."""
    paints, drawn = [], []
    for _ in range(times):
        page.goto(url)
        page.wait_for_function(f"() => ({PAINT}) !== null")
        paints.append(page.evaluate(PAINT) / 1000)
        if "/performance" in url:
            page.wait_for_function(DRAWN)
            drawn.append(page.evaluate("performance.now()") / 1000)
    return Repeats(tuple(paints)), Repeats(tuple(drawn or paints))


def figures(options: Options) -> Iterator[Figure]:
    """Yield all figures."""
    times = 3 if options.quick else 10
    parameters = {"series": year.SERIES, "days": year.CONFIG.hour_days, "times": times}
    with (
        tempfile.TemporaryDirectory() as name,
        observed(Path(name)) as (site, key),
        chromium() as browser,
    ):
        cookie = site.sign_in()
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(site.access.new_link())
        for called, path in PAGES.items():
            progress(called)
            address = f"/db/{key}{path}"
            paints, drawn = measure_page(page, f"{site.server.url}{address}", times=times)
            yield paints.figure(
                f"dashboard.{called}.first_paint",
                "ms",
                scale=1000,
                peer=f"the goal of {GOAL_MS:g} ms",
                ratio=paints.median * 1000 / GOAL_MS,
                parameters=parameters,
            )
            if "/performance" in path:
                yield drawn.figure(
                    f"dashboard.{called}.drawn", "ms", scale=1000, parameters=parameters
                )
            yield repeated(partial(site.page, address, cookie=cookie), times=times).figure(
                f"dashboard.{called}.server", "ms", scale=1000, parameters=parameters
            )


if __name__ == "__main__":
    main(figures, about=__doc__ or "")
