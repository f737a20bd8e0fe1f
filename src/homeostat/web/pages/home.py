"""The list of databases, signing in and signing out."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from homeostat.errors import RequestError, SignInRequiredError
from homeostat.web.auth import Visitor
from homeostat.web.fleet import STATES, Wanted, counts_of, fleet, groups_of
from homeostat.web.pages.frame import Frame
from homeostat.web.pages.templating import path_of

WORDS_MAX = 100


class HomePages:
    """The fleet, and the door to it."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        frame = self.frame
        return [
            Route("/", frame.page(self.home)),
            Route("/login", self.login),
            Route("/logout", frame.form(self.logout), methods=["POST"]),
            Route("/databases", frame.page(self.databases)),
        ]

    async def home(self, request: Request, visitor: Visitor) -> Response:
        """GET /: the only database, or the list."""
        status = await self.frame.call(self.frame.console.status)
        asked = _wanted(request)
        if len(status.databases) == 1 and not status.pending and asked.is_all:
            return RedirectResponse(path_of(status.databases[0].key), 303)
        return await self.frame.render("home.html", visitor, lambda: self._home(asked))

    async def databases(self, request: Request, visitor: Visitor) -> Response:
        """GET /databases: the list, as a part of the page."""
        asked = _wanted(request)
        return await self.frame.render("parts/databases.html", visitor, lambda: self._home(asked))

    async def login(self, request: Request) -> Response:
        """GET /login?key=: turn a one-time link into a session."""
        if request.method == "HEAD":  # a preview of the link must not use it up
            return HTMLResponse("")
        access = self.frame.access
        key = request.query_params.get("key", "")
        link = access.use_link(key) if key else None
        if link is not None:
            response = self._signed_in(request)
            access.start_session(response, link)
            return response
        if access.session(request):
            return RedirectResponse("/", 303)
        raise SignInRequiredError(
            "This sign-in link was used before or is too old. A link works once."
        )

    async def logout(self, _request: Request, _visitor: Visitor, _form: Any) -> Response:
        """POST /logout: forget the session in this browser."""
        response = RedirectResponse("/", 303)
        response.delete_cookie(self.frame.access.cookie, httponly=True, samesite="strict")
        return response

    def _signed_in(self, request: Request) -> Response:
        # after a click in another site the browser would hold back the Strict cookie on a redirect,
        # but not on a navigation that our own page begins
        if request.headers.get("sec-fetch-site") in {"cross-site", "same-site"}:
            return HTMLResponse(self.frame.templates.get_template("enter.html").render())
        return RedirectResponse("/", 303)

    def _home(self, wanted: Wanted) -> dict[str, Any]:
        console = self.frame.console
        sequence, _ = console.wait_for_change(-1, -1, 0.0)
        status = console.status()
        return {
            "status": status,
            "fleet": fleet(status, wanted),
            "wanted": wanted,
            "counts": counts_of(status),
            "total": len(status.databases) + len(status.pending),
            "groups": groups_of(status),
            "sequence": sequence,
            "now": self.frame.clock.now(),
        }


def _wanted(request: Request) -> Wanted:
    """Return which databases an address asks for.

    Raises:
        RequestError: it names no state that there is.
    """
    given = request.query_params
    state = given.get("state", "")
    if state and state not in STATES:
        raise RequestError(f"`state` is one of {', '.join(STATES)}.")
    words = " ".join(given.get("q", "")[:WORDS_MAX].split())
    return Wanted(given.get("label", ""), given.get("group", ""), state, words)
