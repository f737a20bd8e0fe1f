"""The pages of who did what, and of search."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from homeostat.errors import RequestError
from homeostat.operate.insights import Hit
from homeostat.web.auth import Visitor
from homeostat.web.pages.frame import Frame, Sight
from homeostat.web.pages.templating import part_of, path_of

ENTRIES = 50
WORDS_CHARACTERS_MAX = 100


class AuditPages:
    """The audit log of a database, and search."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [
            Route("/db/{key}/audit", self.frame.page(self.audit)),
            Route("/search", self.frame.page(self.search)),
        ]

    async def audit(self, request: Request, visitor: Visitor) -> Response:
        """GET /db/{key}/audit?before=: a page of entries, the newest first."""
        before = request.query_params.get("before", "")
        if before and not (before.isascii() and before.isdigit() and len(before) < 16):
            raise RequestError("`before` is the number of an entry.")

        def look(sight: Sight) -> dict[str, Any]:
            trail = self.frame.console.trail(
                database=sight.database.key,
                before=int(before) if before else None,
                limit=ENTRIES,
            )
            return {
                "trail": trail,
                "before": before,
                "full": len(trail.entries) == ENTRIES,
                "events": "" if before else "audit",
                "every": 0,
            }

        return await self.frame.view(request, visitor, "audit.html", look)

    async def search(self, request: Request, visitor: Visitor) -> Response:
        """GET /search?q=&database=."""
        asked = request.query_params.get("q", "").strip()[:WORDS_CHARACTERS_MAX]
        database = request.query_params.get("database", "")

        def look() -> dict[str, Any]:
            console = self.frame.console
            found = console.search(asked, database=database or None) if asked else None
            shown: dict[str, Any] = {
                "asked": asked,
                "found": found,
                "within": database,
                "path": path_to,
            }
            sequence, _ = console.wait_for_change(-1, -1, 0.0)
            shown["sequence"] = sequence
            keys = [one.key for one in console.status().databases]
            shown["first"] = database or (keys[0] if keys else "")
            if database:
                shown |= {"sight": self.frame.sight(database), "tab": "search"}
            return shown

        return await self.frame.render("search.html", visitor, look)


def path_to(hit: Hit, database: str) -> str:
    """Return the address of what was found; empty: it has no page of its own."""
    base = path_of(hit.database or database) if hit.database or database else ""
    if not base:
        return ""
    name = part_of(hit.name)
    return {
        "finding": f"{base}/findings/{name}",
        "remedy": f"{base}/remedies/{name}",
        "statement": f"{base}/statements/{name}",
        "table": f"{base}/tables#table-{name}",
        "index": f"{base}/tables#index-{name}",
        "setting": f"{base}/settings?all=1#setting-{name}",
        "metric": f"{base}/performance",
    }.get(hit.kind, "")
