"""The pages of statements: which cost most, and one of them with its plans as trees."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from homeostat.errors import RequestError
from homeostat.web.auth import Visitor
from homeostat.web.pages.frame import Frame, Sight
from homeostat.web.pages.performance import COMPARED
from homeostat.web.plan_tree import summary, tree

WINDOWS: dict[str, tuple[str, float]] = {
    "2m": ("2 min", 120.0),
    "10m": ("10 min", 600.0),
    "30m": ("30 min", 1800.0),
    "24h": ("24 h", 86_400.0),
    "7d": ("7 d", 604_800.0),
    "30d": ("30 d", 2_592_000.0),
    "90d": ("90 d", 7_776_000.0),
    "1y": ("1 year", 31_536_000.0),
}
ORDERS = {
    "total": "Time in all",
    "mean": "Mean time",
    "p99": "p99",
    "calls": "Calls",
    "rows": "Rows",
    "pages": "Pages read",
    "grown": "What grew",
}
WINDOW, ORDER = "10m", "total"
REFRESH_SECONDS = 10.0


def _given(asked: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in asked.items() if value}


class StatementPages:
    """The list of statements, and one statement."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [
            Route("/db/{key}/statements", self.frame.page(self.statements)),
            Route("/db/{key}/statements/{statement}", self.frame.page(self.statement)),
        ]

    async def statements(self, request: Request, visitor: Visitor) -> Response:
        """GET /db/{key}/statements?window=&order=&compare=."""
        window = request.query_params.get("window", WINDOW)
        order = request.query_params.get("order", ORDER)
        compare = request.query_params.get("compare", "")
        if window not in WINDOWS or order not in ORDERS or compare not in COMPARED:
            raise RequestError(
                f"`window` is one of {', '.join(WINDOWS)}, `order` of {', '.join(ORDERS)}, "
                f"`compare` of {', '.join(filter(None, COMPARED))}."
            )
        seconds = WINDOWS[window][1]
        given = COMPARED[compare][1]
        shift = seconds if given is None else given
        asked = {"window": window, "order": order, **({"compare": compare} if compare else {})}

        def look(sight: Sight) -> dict[str, Any]:
            found = self.frame.console.statements(
                sight.database.key, seconds=seconds, order=order, shift=shift
            )
            return {
                "found": found,
                "windows": WINDOWS,
                "orders": ORDERS,
                "window": window,
                "order": order,
                "compare": compare,
                "compared": COMPARED,
                "link": lambda **new: f"?{urlencode(_given({**asked, **new}))}",
                "events": "tick finding",
                "every": REFRESH_SECONDS,
            }

        return await self.frame.view(request, visitor, "statements.html", look)

    async def statement(self, request: Request, visitor: Visitor) -> Response:
        """GET /db/{key}/statements/{statement}: a key, or the name of an operation."""
        name = request.path_params["statement"]

        def look(sight: Sight) -> dict[str, Any]:
            found = self.frame.console.statement(sight.database.key, name)
            plans = [
                {"at": one.at, "tree": tree(one.plan), "summary": summary(one.plan)}
                for one in reversed(found.plans)
            ]
            return {
                "tab": "statements",
                "found": found,
                "plans": plans,
                "events": "tick finding remedy",
                "every": REFRESH_SECONDS,
            }

        return await self.frame.view(request, visitor, "statement.html", look)
