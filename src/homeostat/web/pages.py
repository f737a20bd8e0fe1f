"""The pages for people: one live page per database, the list of databases, and signing in.

Everything is rendered on the server from one look at the Console; the script asks for the same
parts again when an event says that they changed. Buttons are forms, so they work without a script.
Nothing is shown that was not measured.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

import jinja2
import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from homeostat.clock import Clock
from homeostat.errors import NotFoundError, RequestError, SignInRequiredError
from homeostat.logbook.rows import REMEDY_ENDED, AuditEntry, Finding, RemedyRecord
from homeostat.operate.views import Console, DatabaseStatus, RemedyView, Status, Tick
from homeostat.web import moves, words
from homeostat.web.api import BODY_BYTES_MAX, DECISIONS, Calls, autonomies
from homeostat.web.auth import Access, Visitor
from homeostat.web.fleet import fleet
from homeostat.web.guard import read_body
from homeostat.web.headline import Headline, headline

HERE = Path(__file__).parent
STATIC = HERE / "static"
PARTS = ("state", "remedies", "findings", "pools", "traffic", "log")
REMEDIES_MAX = 50
ENDED_IN_FULL = 2  # remedies that ended lately are shown with all their moves
CLEARED_MAX = 5
LOG_MAX = 12
SEGMENTS_MAX = 20
HTMX = "hx-request"  # the header that htmx sends


@dataclass(frozen=True, slots=True)
class Bar:
    """One segment's traffic; `width` is percent of the busiest."""

    name: str
    rate: float
    width: float


@dataclass(frozen=True, slots=True)
class Look:
    """All that one page of a database shows, as of one moment."""

    now: float
    sequence: int
    status: Status
    database: DatabaseStatus
    headline: Headline
    findings: list[Finding]
    cleared: list[Finding]
    remedies: list[RemedyView]
    history: list[RemedyRecord]
    tick: Tick | None
    bars: list[Bar]
    log: list[AuditEntry]

    @property
    def asked(self) -> RemedyView | None:
        """The remedy that the headline is about, when a person can decide on it."""
        number = self.headline.remedy
        found = next((view for view in self.remedies if view.remedy.id == number), None)
        return found if found is not None and found.possible else None

    @property
    def marks(self) -> str:
        """Where remedies acted, for the chart; JSON."""
        records = [*(view.remedy for view in self.remedies), *self.history]
        acted = [
            {
                "id": record.id,
                "title": record.title,
                "state": record.state,
                "applied": record.applied,
                "ended": record.ended,
            }
            for record in records
            if record.applied is not None
        ]
        return msgspec.json.encode(acted).decode()


class Pages:
    """The routes for people."""

    def __init__(self, console: Console, *, access: Access, clock: Clock) -> None:
        self.console = console
        self.access = access
        self.clock = clock
        self.call = Calls()
        self.templates = _templates()

    def routes(self) -> list[BaseRoute]:
        """Return all routes."""
        return [
            Route("/", self._page(self.home)),
            Route("/login", self.login),
            Route("/logout", self._form(self.logout), methods=["POST"]),
            Route("/databases", self._page(self.databases)),
            Route("/db/{key}", self._page(self.database)),
            Route("/db/{key}/{parts}", self._page(self.parts)),
            Route(
                "/db/{key}/remedies/{id:int}/{decision}",
                self._form(self.decide),
                methods=["POST"],
            ),
            Route("/db/{key}/{change}", self._form(self.change), methods=["POST"]),
        ]

    def _page(
        self, endpoint: Callable[[Request, Visitor], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            visitor = self.access.session(request)
            if visitor is None:
                raise SignInRequiredError("This browser is not signed in, or its sign-in is over.")
            return await endpoint(request, visitor)

        return handle

    def _form(
        self, endpoint: Callable[[Request, Visitor, dict[str, str]], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            visitor = self.access.visitor(request)
            body = await read_body(request, bytes_max=BODY_BYTES_MAX)
            values = parse_qs(body.decode("utf-8", "replace"), max_num_fields=20)
            form = {name: given[-1] for name, given in values.items()}
            self.access.check_change(request, visitor, form.get("csrf", ""))
            return await endpoint(request, visitor, form)

        return handle

    # -- pages

    async def home(self, request: Request, visitor: Visitor) -> Response:
        """GET /: the only database, or the list."""
        status = await self.call(self.console.status)
        label = request.query_params.get("label", "")
        if len(status.databases) == 1 and not status.pending and not label:
            return RedirectResponse(path_of(status.databases[0].key), 303)
        return await self._render("home.html", visitor, lambda: self._home(label))

    async def databases(self, request: Request, visitor: Visitor) -> Response:
        """GET /databases: the list, as a part of the page."""
        label = request.query_params.get("label", "")
        return await self._render("parts/databases.html", visitor, lambda: self._home(label))

    async def database(self, request: Request, visitor: Visitor) -> Response:
        """GET /db/{key}: the live page of one database."""
        key = request.path_params["key"]
        return await self._render("database.html", visitor, lambda: self._database(key))

    async def parts(self, request: Request, visitor: Visitor) -> Response:
        """GET /db/{key}/{parts}: parts of the live page, joined by `+`, to be put in place."""
        names = request.path_params["parts"].split("+")
        if not set(names) <= set(PARTS):
            raise NotFoundError(f"Parts of the page are {', '.join(PARTS)}.")
        return await self._parts(request, visitor, names)

    async def login(self, request: Request) -> Response:
        """GET /login?key=: turn a one-time link into a session."""
        if request.method == "HEAD":  # a preview of the link must not use it up
            return HTMLResponse("")
        key = request.query_params.get("key", "")
        link = self.access.use_link(key) if key else None
        if link is not None:
            response = self._signed_in(request)
            self.access.start_session(response, link)
            return response
        if self.access.session(request):
            return RedirectResponse("/", 303)
        raise SignInRequiredError(
            "This sign-in link was used before or is too old. A link works once."
        )

    async def logout(self, _request: Request, _visitor: Visitor, _form: Any) -> Response:
        """POST /logout: forget the session in this browser."""
        response = RedirectResponse("/", 303)
        response.delete_cookie(self.access.cookie, httponly=True, samesite="strict")
        return response

    # -- decisions

    async def decide(self, request: Request, visitor: Visitor, _form: Any) -> Response:
        """POST /db/{key}/remedies/{id}/{decision}."""
        number, decision = request.path_params["id"], request.path_params["decision"]
        if decision not in DECISIONS:
            raise NotFoundError(f"A decision is one of {', '.join(DECISIONS)}.")
        visitor.need("operator")
        await self.call(self.console.decide, number, decision, actor=visitor.actor)
        return await self._after(request, visitor)

    async def change(self, request: Request, visitor: Visitor, form: dict[str, str]) -> Response:
        """POST /db/{key}/pause, /resume, /autonomy or /detach."""
        key, change = request.path_params["key"], request.path_params["change"]
        visitor.need("admin" if change in {"autonomy", "detach"} else "operator")
        if change == "pause":
            await self.call(self.console.pause, actor=visitor.actor, database=key)
        elif change == "resume":
            await self.call(self.console.resume, actor=visitor.actor, database=key)
        elif change == "autonomy":
            await self._set_autonomy(form, visitor)
        elif change == "detach":
            await self.call(self.console.detach, key, actor=visitor.actor)
            return _go_to(request, "/")
        else:
            raise NotFoundError
        return await self._after(request, visitor)

    async def _set_autonomy(self, form: dict[str, str], visitor: Visitor) -> None:
        remedy, autonomy = form.get("remedy", ""), form.get("autonomy", "")
        if not remedy or autonomy not in autonomies():
            raise RequestError(f"`autonomy` is one of {', '.join(autonomies())}.")
        await self.call(self.console.set_autonomy, remedy, autonomy, actor=visitor.actor)

    async def _after(self, request: Request, visitor: Visitor) -> Response:
        """Answer a form: the parts that changed to the script, else the page again."""
        if HTMX in request.headers:
            return await self._parts(request, visitor, ["state", "remedies", "findings", "log"])
        return RedirectResponse(path_of(request.path_params["key"]), 303)

    async def _parts(self, request: Request, visitor: Visitor, names: list[str]) -> Response:
        key = request.path_params["key"]

        def look() -> dict[str, Any]:
            return {**self._database(key), "names": names}

        return await self._render("parts.html", visitor, look)

    def _signed_in(self, request: Request) -> Response:
        # after a click in another site the browser would hold back the Strict cookie on a redirect,
        # but not on a navigation that our own page begins
        if request.headers.get("sec-fetch-site") in {"cross-site", "same-site"}:
            return HTMLResponse(self.templates.get_template("enter.html").render())
        return RedirectResponse("/", 303)

    # -- what pages show

    async def _render(
        self, template: str, visitor: Visitor, look: Callable[[], dict[str, Any]]
    ) -> Response:
        csrf = self.access.csrf(visitor.session)

        def render() -> str:
            return self.templates.get_template(template).render(
                **look(),
                csrf=csrf,
                operate=csrf if visitor.may("operator") else "",
                govern=csrf if visitor.may("admin") else "",
                visitor=visitor,
            )

        return HTMLResponse(await self.call(render))

    def _home(self, label: str) -> dict[str, Any]:
        sequence, _ = self.console.wait_for_change(-1, -1, 0.0)
        status = self.console.status()
        return {
            "status": status,
            "fleet": fleet(status, label),
            "label": label,
            "sequence": sequence,
            "now": self.clock.now(),
        }

    def _database(self, key: str) -> dict[str, Any]:
        return {"look": self.look(key)}

    def look(self, key: str) -> Look:
        """Return all that the page of a database shows.

        Raises:
            NotFoundError: there is no such database.
        """
        sequence, _ = self.console.wait_for_change(-1, -1, 0.0)  # first: nothing after it is missed
        status = self.console.status()
        database = next((one for one in status.databases if one.key == key), None)
        if database is None:
            raise NotFoundError("No such database is observed now. The list shows those that are.")
        everything = self.console.findings(database=key, open_only=False)
        findings = [finding for finding in everything if finding.state == "open"]
        records = self.console.remedies(database=key, limit=REMEDIES_MAX)
        views, history = self._in_full(records, findings)
        tick = self._tick(key)
        cleared = sorted(
            (finding for finding in everything if finding.state == "cleared"),
            key=lambda finding: finding.cleared or 0.0,
            reverse=True,
        )
        return Look(
            now=self.clock.now(),
            sequence=sequence,
            status=status,
            database=database,
            headline=headline(status, database, findings, records),
            findings=findings,
            cleared=cleared[:CLEARED_MAX],
            remedies=views,
            history=history,
            tick=tick,
            bars=bars(tick),
            log=[entry for entry in self.console.audit() if entry.database in {"", key}][:LOG_MAX],
        )

    def _in_full(
        self, records: list[RemedyRecord], findings: list[Finding]
    ) -> tuple[list[RemedyView], list[RemedyRecord]]:
        """Return the remedies to show with all their moves, and the rest."""
        asked = [r for r in records if r.state in {"waiting", "asking"}]
        active = [r for r in records if r.state not in REMEDY_ENDED and r not in asked]
        standing = {finding.id for finding in findings}
        offered = [r for r in records if r.state == "observed" and r.finding in standing]
        ended = [r for r in records if r.state in REMEDY_ENDED and r not in offered]
        views = []
        for record in [*asked, *active, *offered, *ended[:ENDED_IN_FULL]]:
            with contextlib.suppress(NotFoundError):
                views.append(self.console.remedy(record.id))
        return views, ended[ENDED_IN_FULL:]

    def _tick(self, key: str) -> Tick | None:
        try:
            return self.console.tick(key)
        except NotFoundError:
            return None

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


def bars(tick: Tick | None) -> list[Bar]:
    """Return traffic by segment, the busiest first; what is past the limit is summed up."""
    if tick is None or not tick.segments:
        return []
    ranked = sorted(tick.segments.items(), key=lambda one: (-one[1], one[0]))
    shown, rest = ranked[:SEGMENTS_MAX], ranked[SEGMENTS_MAX:]
    if rest:
        shown.append((f"{len(rest)} more", sum(rate for _, rate in rest)))
    top = max(rate for _, rate in shown) or 1.0
    return [Bar(name or "unnamed", rate, round(100 * rate / top, 1)) for name, rate in shown]


def path_of(key: str) -> str:
    """Return the page of a database."""
    return f"/db/{quote(key, safe='')}"


def _go_to(request: Request, path: str) -> Response:
    if HTMX in request.headers:
        return HTMLResponse("", headers={"HX-Redirect": path})
    return RedirectResponse(path, 303)


def _static_url(name: str) -> str:
    """Return the address of a static file; it changes with the content, so it may be kept."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={digest}"


def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "number": words.number,
        "ms": words.milliseconds,
        "percent": words.percent,
        "iso": words.iso,
        "clock": words.clock_utc,
        "duration": words.duration,
        "sentence": words.sentence,
        "action": words.action,
        "arrows": words.arrows,
        "autonomy": words.autonomy,
        "statement": words.statement,
        "facts": words.facts,
        "moves": moves.moves,
        "strip": moves.strip,
        "db_path": path_of,
    }
    environment.globals |= {
        "AUTONOMY": words.AUTONOMY,
        "STATES": words.STATES,
        "TONES": words.TONES,
        "DATABASE_STATES": words.DATABASE_STATES,
        "ENDED": REMEDY_ENDED,
        "static": {
            name: _static_url(name)
            for name in (
                "app.css",
                "live.js",
                "chart.js",
                "icon.svg",
                "vendor/htmx.min.js",
                "vendor/uPlot.iife.min.js",
                "vendor/uPlot.min.css",
            )
        },
    }
    return environment
