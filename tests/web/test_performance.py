"""The page of charts: its address holds the range, numbers have their unit, gaps are said."""

from __future__ import annotations

import json
import re

import pytest
from starlette.requests import Request

from homeostat.errors import RequestError
from homeostat.operate.insights import Chart, Line, Reading
from homeostat.web.pages.performance import window_of
from tests.web.fake import KEY, FakeConsole
from tests.web.site import Site

NOW = 1_800_000_000.0


def asked(query: str) -> Request:
    return Request({"type": "http", "query_string": query.encode(), "headers": []})


def line(*means: float, metric: str = "operation.rate", at: float = NOW) -> Line:
    points = [Reading(at + 10 * i, mean, mean, mean) for i, mean in enumerate(means)]
    return Line(
        metric=metric,
        name="",
        points=points,
        mean=sum(means) / len(means),
        low=min(means),
        high=max(means),
    )


def rates(**changes: object) -> Chart:
    fields: dict[str, object] = {
        "name": "throughput", "title": "Operations", "unit": "1/s", "help": "", "bad": "up",
        "lines": [line(80.0, 120.0)], "known_since": NOW,
    }  # fmt: skip
    return Chart(**{**fields, **changes})  # type: ignore[arg-type]


def test_the_address_holds_range_moment_and_comparison() -> None:
    window = window_of(asked("range=24h&compare=week&until=1799000000"), NOW)
    assert (window.end, window.seconds, window.shift) == (1_799_000_000.0, 86_400.0, 604_800.0)
    assert window_of(asked(window.query()[1:]), NOW) == window
    free = window_of(asked("from=1798000000&until=1798003600&compare=before"), NOW)
    assert free.shift == free.seconds == 3600.0
    assert window_of(asked(free.query()[1:]), NOW) == free


def test_a_range_moves_by_its_length_and_never_past_now() -> None:
    window = window_of(asked("range=1h"), NOW)
    earlier = window_of(asked(window.moved(-1, NOW)[1:]), NOW)
    assert earlier.end == window.start
    assert window_of(asked(earlier.moved(2, NOW)[1:]), NOW).until is None


@pytest.mark.parametrize("query", ["range=2h", "compare=x", "from=5&until=4", "from=a", "until=-1"])
def test_an_address_that_names_no_range_is_refused(query: str) -> None:
    with pytest.raises(RequestError):
        window_of(asked(query), NOW)


def test_charts_carry_their_numbers_in_words_and_for_the_script(
    site: Site, console: FakeConsole
) -> None:
    console.rows_charts = [rates(before=[line(50.0, 50.0)])]
    text = site.page(f"/db/{KEY}/performance?compare=day", cookie=site.sign_in()).text
    assert "100/s" in text
    assert '<span class="worse">+100%</span>' in text
    found = re.search(r'data-chart="([^"]*)"', text)
    assert found is not None
    data = json.loads(found[1].replace("&#34;", '"'))
    assert data["shift"] == 86_400.0
    assert [point[1] for point in data["lines"][0]["before"]] == [50.0, 50.0]


def test_an_empty_chart_says_since_when_it_knows(site: Site, console: FakeConsole) -> None:
    console.rows_charts = [rates(lines=[], reason="nothing was measured in this time")]
    text = site.page(f"/db/{KEY}/performance", cookie=site.sign_in()).text
    assert "Nothing was measured in this time. Known since" in text
    assert "data-chart" not in text


def test_the_script_gets_the_view_alone(site: Site, console: FakeConsole) -> None:
    console.rows_charts = [rates()]
    cookie = site.sign_in()
    answer = site.page(f"/db/{KEY}/performance", cookie=cookie, headers={"HX-Request": "true"})
    assert answer.text.strip().startswith('<hx-partial hx-target="#view"')
    assert "<html" not in answer.text
