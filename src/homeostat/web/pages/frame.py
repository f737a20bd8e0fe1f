"""What all pages share: who may see them, how they are rendered, and the frame around them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from homeostat.clock import Clock
from homeostat.errors import NotFoundError, SignInRequiredError
from homeostat.operate.views import Console, DatabaseStatus, Status
from homeostat.web.api import BODY_BYTES_MAX, Calls
from homeostat.web.auth import Access, Visitor
from homeostat.web.guard import read_body
from homeostat.web.pages.templating import templates

HTMX = "hx-request"  # the header that htmx sends
FIELDS_MAX = 20
TABS: tuple[tuple[str, str], ...] = (
    ("", "Overview"),
    ("performance", "Performance"),
    ("statements", "Statements"),
    ("tables", "Tables"),
    ("activity", "Activity"),
    ("remedies", "Remedies"),
    ("report", "Report"),
    ("settings", "Settings"),
    ("audit", "Audit"),
)
"""The pages of a database: the last part of the address, and the name."""

Page = Callable[[Request, Visitor], Awaitable[Response]]
Form = Callable[[Request, Visitor, dict[str, str]], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Sight:
    """Which database a page is about, as of one moment; `sequence` is the newest event's."""

    now: float
    sequence: int
    status: Status
    database: DatabaseStatus


@dataclass(slots=True)
class Frame:
    """Renders pages for whoever is signed in."""

    console: Console
    access: Access
    clock: Clock
    call: Calls = field(default_factory=Calls)
    templates: Any = field(default_factory=templates)

    def page(self, endpoint: Page) -> Endpoint:
        """Return a route's handler that only a signed-in browser reaches."""

        async def handle(request: Request) -> Response:
            visitor = self.access.session(request)
            if visitor is None:
                raise SignInRequiredError("This browser is not signed in, or its sign-in is over.")
            return await endpoint(request, visitor)

        return handle

    def form(self, endpoint: Form) -> Endpoint:
        """Return a route's handler for a form of our own pages, its fields read and checked."""

        async def handle(request: Request) -> Response:
            visitor = self.access.visitor(request)
            body = await read_body(request, bytes_max=BODY_BYTES_MAX)
            values = parse_qs(body.decode("utf-8", "replace"), max_num_fields=FIELDS_MAX)
            fields = {name: given[-1] for name, given in values.items()}
            self.access.check_change(request, visitor, fields.get("csrf", ""))
            return await endpoint(request, visitor, fields)

        return handle

    async def render(
        self, template: str, visitor: Visitor, look: Callable[[], dict[str, Any]]
    ) -> Response:
        """Return a page; `look` asks the operator in a thread of its own."""
        csrf = self.access.csrf(visitor.session)

        def render() -> str:
            text: str = self.templates.get_template(template).render(
                **look(),
                csrf=csrf,
                operate=csrf if visitor.may("operator") else "",
                govern=csrf if visitor.may("admin") else "",
                visitor=visitor,
                tabs=TABS,
            )
            return text

        return HTMLResponse(await self.call(render))

    async def view(
        self,
        request: Request,
        visitor: Visitor,
        template: str,
        look: Callable[[Sight], dict[str, Any]],
    ) -> Response:
        """Return a page of a database; to the script, which asks again, only what it puts in place.

        Args:
            request: has the database's key in its path.
            visitor: who asks.
            template: what fills the page, in `templates/views`.
            look: from the database at this moment to what the template shows.
        """
        key = request.path_params["key"]
        tab = template.partition(".")[0]
        around = "view_part.html" if HTMX in request.headers else "view.html"

        def everything() -> dict[str, Any]:
            sight = self.sight(key)
            shown = {"tab": tab, "view": f"views/{template}", "every": 0, "events": ""}
            return {**shown, "sight": sight, "query": _query(request), **look(sight)}

        return await self.render(around, visitor, everything)

    def sight(self, key: str) -> Sight:
        """Return the database of a key as it is now.

        Raises:
            NotFoundError: there is no such database.
        """
        sequence, _ = self.console.wait_for_change(-1, -1, 0.0)  # first: nothing after it is missed
        status = self.console.status()
        database = next((one for one in status.databases if one.key == key), None)
        if database is None:
            raise NotFoundError("No such database is observed now. The list shows those that are.")
        return Sight(self.clock.now(), sequence, status, database)

    def error_page(self, request: Request, status: int, message: str, kind: str) -> Response:
        """Return a failure as a page, or as a notice for the script."""
        if HTMX in request.headers:
            headers = {"HX-Retarget": "#notice", "HX-Reswap": "innerHTML"}
            if status == 401:
                headers = {"HX-Refresh": "true"}
            notice = self.templates.get_template("parts/notice.html")
            return HTMLResponse(notice.render(message=message), status, headers=headers)
        page = self.templates.get_template("error.html")
        return HTMLResponse(page.render(status=status, message=message, kind=kind), status)


def _query(request: Request) -> str:
    return f"?{request.url.query}" if request.url.query else ""
