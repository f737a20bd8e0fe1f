"""The page of settings in force: of the database and of Homeostat."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from homeostat.operate.insights import SettingRow
from homeostat.web.auth import Visitor
from homeostat.web.pages.frame import Frame, Sight


class SettingsPage:
    """What is set, where, and what it means."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [Route("/db/{key}/settings", self.frame.page(self.settings))]

    async def settings(self, request: Request, visitor: Visitor) -> Response:
        """GET /db/{key}/settings?all=1."""
        everything = request.query_params.get("all", "") in {"1", "true"}

        def look(sight: Sight) -> dict[str, Any]:
            found = self.frame.console.settings(sight.database.key)
            return {
                "found": found,
                "everything": everything,
                "parts": (
                    ("database", "Of the database", grouped(found.of_database, everything)),
                    ("homeostat", "Of Homeostat", grouped(found.of_homeostat, everything)),
                ),
                "defaults": sum(
                    row.source == "default" for row in (*found.of_database, *found.of_homeostat)
                ),
                "events": "audit",
                "every": 5,
            }

        return await self.frame.view(request, visitor, "settings.html", look)


def grouped(rows: list[SettingRow], everything: bool) -> list[tuple[str, list[SettingRow]]]:  # noqa: FBT001
    """Return settings by category; unless all are asked for, those that are not at their default.

    What cannot be seen is shown only among all.
    """
    shown = [row for row in rows if everything or row.source != "default" or row.restart]
    return [(name, list(inside)) for name, inside in groupby(shown, key=lambda row: row.category)]
