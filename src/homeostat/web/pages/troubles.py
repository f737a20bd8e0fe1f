"""The buttons "break it" on the demo's page.

A form for each trouble, guarded as all forms are; the card is shown where there is anything to
break, which is in the demo only.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from homeostat.errors import NotFoundError
from homeostat.web.auth import Visitor
from homeostat.web.pages.frame import HTMX, Frame
from homeostat.web.pages.templating import path_of
from homeostat.web.troubles import Troubles

WAYS = {"on": True, "off": False}


class TroubleForms:
    """What the buttons do; gives templates `troubles()`, the list as it is at that moment."""

    def __init__(self, frame: Frame, troubles: Troubles) -> None:
        self.frame = frame
        self.troubles = troubles
        frame.templates.globals["troubles"] = troubles.list

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        path = "/db/{key}/troubles/{name}/{way}"
        return [Route(path, self.frame.form(self.press), methods=["POST"])]

    async def press(self, request: Request, visitor: Visitor, _form: dict[str, str]) -> Response:
        """POST /db/{key}/troubles/{name}/on or /off."""
        given = request.path_params
        if given["way"] not in WAYS:
            raise NotFoundError(f"A trouble is switched {' or '.join(WAYS)}.")
        visitor.need("operator")
        on = WAYS[given["way"]]
        await self.frame.call(self.troubles.switch, given["name"], on=on, actor=visitor.actor)
        if HTMX not in request.headers:
            return RedirectResponse(path_of(given["key"]), 303)

        def look() -> dict[str, Any]:
            return {"names": ["troubles"], "look": self.frame.sight(given["key"])}

        return await self.frame.render("parts.html", visitor, look)
