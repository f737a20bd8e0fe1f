"""The live page of one database, its parts, and the decisions that are taken on pages.

Everything is rendered on the server from one look at the Console; the script asks for the same
parts again when an event says that they changed. Buttons are forms, so they work without a script.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from homeostat.errors import NotFoundError, RequestError
from homeostat.logbook.rows import REMEDY_ENDED, AuditEntry, Finding, RemedyRecord
from homeostat.operate.views import DatabaseStatus, RemedyView, Status, Tick
from homeostat.web.api import DECISIONS, autonomies
from homeostat.web.auth import Visitor
from homeostat.web.headline import Headline, headline
from homeostat.web.pages.frame import HTMX, Frame
from homeostat.web.pages.templating import path_of

PARTS = ("state", "remedies", "findings", "pools", "traffic", "log", "troubles")
REMEDIES_MAX = 50
ENDED_IN_FULL = 2  # remedies that ended lately are shown with all their moves
CLEARED_MAX = 5
LOG_MAX = 12
SEGMENTS_MAX = 20


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


class OverviewPages:
    """The live page, its parts, and what its buttons do."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.console = frame.console
        self.call = frame.call

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        frame = self.frame
        return [
            Route("/db/{key}", frame.page(self.database)),
            Route("/db/{key}/parts/{parts}", frame.page(self.parts)),
            Route(
                "/db/{key}/remedies/{id:int}/{decision}",
                frame.form(self.decide),
                methods=["POST"],
            ),
            Route("/db/{key}/{change}", frame.form(self.change), methods=["POST"]),
        ]

    async def database(self, request: Request, visitor: Visitor) -> Response:
        """GET /db/{key}: the live page of one database."""
        key = request.path_params["key"]
        return await self.frame.render("database.html", visitor, lambda: self._database(key))

    async def parts(self, request: Request, visitor: Visitor) -> Response:
        """GET /db/{key}/parts/{parts}: parts of the live page, joined by `+`."""
        names = request.path_params["parts"].split("+")
        if not set(names) <= set(PARTS):
            raise NotFoundError(f"Parts of the page are {', '.join(PARTS)}.")
        return await self._parts(request, visitor, names)

    # -- decisions

    async def decide(self, request: Request, visitor: Visitor, form: dict[str, str]) -> Response:
        """POST /db/{key}/remedies/{id}/{decision}."""
        number, decision = request.path_params["id"], request.path_params["decision"]
        if decision not in DECISIONS:
            raise NotFoundError(f"A decision is one of {', '.join(DECISIONS)}.")
        visitor.need("operator")
        await self.call(self.console.decide, number, decision, actor=visitor.actor)
        return await self._after(request, visitor, form)

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
        return await self._after(request, visitor, form)

    async def _set_autonomy(self, form: dict[str, str], visitor: Visitor) -> None:
        remedy, autonomy = form.get("remedy", ""), form.get("autonomy", "")
        if not remedy or autonomy not in autonomies():
            raise RequestError(f"`autonomy` is one of {', '.join(autonomies())}.")
        await self.call(self.console.set_autonomy, remedy, autonomy, actor=visitor.actor)

    async def _after(self, request: Request, visitor: Visitor, form: dict[str, str]) -> Response:
        """Answer a form: the parts that changed to the script, else the page again.

        A form of another page of the database names it in `back`; the events of what it did bring
        that page up to date.
        """
        path = path_of(request.path_params["key"])
        back = form.get("back", "")
        if HTMX not in request.headers:
            return RedirectResponse(back if back.startswith(f"{path}/") else path, 303)
        if back:
            return Response(status_code=204)
        return await self._parts(request, visitor, ["state", "remedies", "findings", "log"])

    async def _parts(self, request: Request, visitor: Visitor, names: list[str]) -> Response:
        key = request.path_params["key"]

        def look() -> dict[str, Any]:
            return {**self._database(key), "names": names}

        return await self.frame.render("parts.html", visitor, look)

    # -- what the page shows

    def _database(self, key: str) -> dict[str, Any]:
        look = self.look(key)
        return {"look": look, "sight": look, "tab": ""}

    def look(self, key: str) -> Look:
        """Return all that the page of a database shows.

        Raises:
            NotFoundError: there is no such database.
        """
        sight = self.frame.sight(key)
        status, database = sight.status, sight.database
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
            now=sight.now,
            sequence=sight.sequence,
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


def _go_to(request: Request, path: str) -> Response:
    if HTMX in request.headers:
        return HTMLResponse("", headers={"HX-Redirect": path})
    return RedirectResponse(path, 303)
