"""The page of who is connected and who waits for whom."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from homeostat.web.auth import Visitor
from homeostat.web.pages.frame import Frame, Sight


class ActivityPage:
    """Sessions, locks and applications, as of the newest tick."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [Route("/db/{key}/activity", self.frame.page(self.activity))]

    async def activity(self, request: Request, visitor: Visitor) -> Response:
        """GET /db/{key}/activity."""

        def look(sight: Sight) -> dict[str, Any]:
            found = self.frame.console.activity(sight.database.key)
            return {"found": found, "events": "tick", "every": 1}

        return await self.frame.view(request, visitor, "activity.html", look)
