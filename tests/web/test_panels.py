"""The lines of a chart as they are drawn, in a real browser."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from homeostat.operate.insights import Chart, Line, Reading
from tests.browser import OpenView, browser, view
from tests.web.fake import KEY, FakeConsole
from tests.web.site import running_site

pytestmark = pytest.mark.slow
__all__ = ["browser", "view"]  # fixtures

HOUR = 3600
# the shares of a chart's width at which something of the first line's colour is drawn
DRAWN = """() => {
  const canvas = document.querySelector(".uplot canvas");
  const over = document.querySelector(".u-over");
  const ratio = canvas.width / canvas.clientWidth;
  const [x, y, w, h] = [over.offsetLeft, over.offsetTop, over.clientWidth, over.clientHeight]
    .map((one) => Math.round(one * ratio));
  const pen = document.createElement("canvas").getContext("2d");
  pen.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--tone-0").trim();
  pen.fillRect(0, 0, 1, 1);
  const wanted = pen.getImageData(0, 0, 1, 1).data;
  const { data } = canvas.getContext("2d").getImageData(x, y, w, h);
  const found = new Set();
  for (let i = 0; i < data.length; i += 4)
    if ([0, 1, 2].every((j) => Math.abs(data[i + j] - wanted[j]) < 40))
      found.add(Math.floor((100 * ((i / 4) % w)) / w));
  return [...found].sort((a, b) => a - b);
}"""

# Chromium tells no page what is written into a canvas: from here on the page keeps it
WRITTEN = """
window.written = [];
const write = CanvasRenderingContext2D.prototype.fillText;
CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
  window.written.push(text);
  return write.call(this, text, ...rest);
};
"""


def line(metric: str, times: list[float], level: float) -> Line:
    points = [Reading(at, level, level, level) for at in times]
    return Line(metric=metric, name="", points=points, mean=level, low=level, high=level)


def drawn(page: Page) -> list[int]:
    expect(page.locator(".uplot canvas")).to_be_visible()
    found: list[int] = page.evaluate(DRAWN)
    return found


def charted(chart: Chart) -> FakeConsole:
    console = FakeConsole(time.time)
    console.rows_charts = [chart]
    return console


@pytest.mark.parametrize(("level", "least"), [(1.0, 98.0), (0.995, 97.0), (0.0, 0.0)])
def test_no_percentage_at_the_axis_is_above_100(
    view: OpenView, tmp_path: Path, level: float, least: float
) -> None:
    begin = round(time.time()) - HOUR
    lines = [line("cache.hit_share", [begin + 60.0 * i for i in range(60)], level)]
    chart = Chart(
        name="cache",
        title="Cache",
        unit="share",
        help="",
        bad="down",
        lines=lines,
        known_since=float(begin),
    )
    with running_site(charted(chart), tmp_path) as site:
        page = view(site.access.new_link(), still=True).page
        page.add_init_script(WRITTEN)
        page.goto(f"{site.server.url}/db/{KEY}/performance")
        expect(page.locator(".uplot canvas")).to_be_visible()
        written: list[str] = page.evaluate("window.written")
    at_axis = [float(text.removesuffix(" %")) for text in written if text.endswith(" %")]
    assert len(set(at_axis)) >= 2
    assert max(at_axis) <= 100
    assert min(at_axis) >= least


def test_older_readings_are_drawn_and_a_hole_in_one_line_stays_one(
    view: OpenView, tmp_path: Path
) -> None:
    """What is older has fewer points; another line has points within the hole of the first."""
    begin = round(time.time()) - HOUR
    older = [begin + 10.0 * i for i in range(30)]  # 0 to 8 %
    newer = [begin + HOUR - 120.0 + i for i in range(110)]  # 97 to 100 %
    other = [begin + 4.0 + 20.0 * i for i in range(30)]  # past the beginning of the hole
    chart = Chart(
        name="answer",
        title="Answer",
        unit="ms",
        help="",
        bad="up",
        lines=[
            line("database.answer_ms", older + newer, 5.0),
            line("sqlite.probe_ms", other, 9.0),
        ],
        known_since=float(begin),
    )
    with running_site(charted(chart), tmp_path) as site:
        page = view(site.access.new_link(), still=True).page
        page.goto(f"{site.server.url}/db/{KEY}/performance")
        found = drawn(page)
        assert set(range(1, 7)) <= set(found), found
        assert not [one for one in found if 10 < one < 90], found
        assert max(found) >= 97, found
