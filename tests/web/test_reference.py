"""The reference lists every route, and no other: routes.md those of the API, api.md the pages."""

from __future__ import annotations

import re
from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import Mount, Route

from homeostat.access.protocol import REPORT_BYTES_MAX
from homeostat.operate.insights import Insights
from homeostat.operate.views import Console
from homeostat.web import api
from homeostat.web.api import BODY_BYTES_MAX, ROUTES
from homeostat.web.stream import BEAT_SECONDS, SEND_SECONDS_MAX
from tests.web.site import Site

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"
PAGE = REFERENCE / "api.md"
LISTED = re.compile(r"`((?:GET|POST) /[^`]*)`")


def routes(app: Starlette) -> set[str]:
    found = set()
    for route in app.routes:
        if isinstance(route, Route):
            path = re.sub(r":\w+}", "}", route.path)
            found |= {f"{method} {path}" for method in route.methods or () if method != "HEAD"}
        elif isinstance(route, Mount):
            found.add(f"GET {route.path}")
    return found


def test_every_route_is_listed(site: Site) -> None:
    api = set(LISTED.findall((REFERENCE / "routes.md").read_text(encoding="utf-8")))
    pages = set(LISTED.findall(PAGE.read_text(encoding="utf-8")))
    assert api | pages == routes(site.app)
    assert api == {f"{one.method} {one.path}" for one in ROUTES}
    assert not api & pages, "each is told once"


def test_the_description_is_served_as_it_stands_in_the_reference(site: Site) -> None:
    answer = site.request("GET", "/api/openapi.json")
    assert answer.body == (REFERENCE / "openapi.json").read_bytes()


def test_the_limits_are_the_ones_in_the_code() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert f"{BODY_BYTES_MAX:,} bytes, a report {REPORT_BYTES_MAX:,}" in text
    assert f"every {BEAT_SECONDS:.0f} s" in text
    assert f"nothing for {SEND_SECONDS_MAX:.0f} s" in text


def test_the_api_reaches_all_that_the_pages_show_and_do() -> None:
    source = "".join(
        path.read_text(encoding="utf-8") for path in Path(api.__file__).parent.glob("*.py")
    )
    asked = set(re.findall(r"console\.(\w+)", source))
    streamed = {"events", "wait_for_change"}  # by web/stream.py, for /api/v1/events
    offered = {
        name
        for protocol in (Console, Insights)
        for name in vars(protocol)
        if not name.startswith("_")
    }
    unreached = sorted(offered - streamed - asked)
    assert not unreached, "give each a method with @route in web/api/looking.py (or beside it)"
