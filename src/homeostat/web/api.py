"""The JSON API of the operator: what the CLI, agents and the page's script use.

It decides nothing itself: every request becomes one call of the Console, made in a thread so that
a slow one never holds up the others. docs/reference/api.md lists every route; a test compares.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated, Literal, ParamSpec, TypeVar, get_args

import anyio
import anyio.to_thread
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from homeostat.access.protocol import PROTOCOL_VERSION, REPORT_BYTES_MAX, REPORT_PATH, Report
from homeostat.clock import Clock
from homeostat.config import Autonomy, WebConfig
from homeostat.errors import (
    HomeostatError,
    LogbookError,
    NotFoundError,
    RequestError,
    RoleTooLowError,
    SignInRequiredError,
    TooManyStreamsError,
)
from homeostat.operate.views import Console, Role, TokenView
from homeostat.web.auth import PERSON, Access, Visitor
from homeostat.web.guard import Json, read_body
from homeostat.web.stream import EventStream, Pump

BODY_BYTES_MAX = 16_384
LIST_MAX = 1000
POINTS_MAX = 2000
SERIES_SECONDS = 3600.0  # how far back a series goes unless `start` is given
THREADS_CALLS = 16
THREADS_REPORTS = 8  # of their own: pages that wait never hold up agents
THREADS_COPIES = 4  # of their own: a copy may take minutes
DECISIONS = ("approve", "reject", "revert")

PersonRole = Literal["viewer", "operator", "admin"]
P = ParamSpec("P")
T = TypeVar("T")
Endpoint = Callable[[Request, Visitor], Awaitable[Response]]


class _Version(msgspec.Struct):
    v: int


class _Target(msgspec.Struct, forbid_unknown_fields=True):
    database: str | None = None


class _Detach(msgspec.Struct, forbid_unknown_fields=True):
    database: str


class _Link(msgspec.Struct, forbid_unknown_fields=True):
    name: str = PERSON
    role: PersonRole = "admin"


class _Token(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    role: Role
    days: Annotated[float, msgspec.Meta(gt=0, le=3660)] | None = None


class _Clone(msgspec.Struct, forbid_unknown_fields=True):
    database: str | None = None
    hours: Annotated[float, msgspec.Meta(gt=0, le=8784)] | None = None


class _Autonomy(msgspec.Struct, forbid_unknown_fields=True):
    remedy: str
    autonomy: Autonomy


B = TypeVar("B", bound=msgspec.Struct)


@dataclass(slots=True)
class Calls:
    """Calls the Console in threads, a bounded number at a time."""

    limiter: anyio.CapacityLimiter = field(
        default_factory=lambda: anyio.CapacityLimiter(THREADS_CALLS)
    )

    async def __call__(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what the function returns."""
        return await anyio.to_thread.run_sync(
            lambda: function(*args, **kwargs), limiter=self.limiter
        )


class Api:
    """The routes below /api/v1, the agents' route and the two of health."""

    def __init__(
        self, console: Console, *, access: Access, pump: Pump, config: WebConfig, clock: Clock
    ) -> None:
        self.console = console
        self.access = access
        self.pump = pump
        self.config = config
        self.clock = clock
        self.call = Calls()
        self.call_copies = Calls(anyio.CapacityLimiter(THREADS_COPIES))
        self.call_report = Calls(anyio.CapacityLimiter(THREADS_REPORTS))

    def routes(self) -> list[BaseRoute]:
        """Return all routes."""
        reads: dict[str, Endpoint] = {
            "status": self.status,
            "findings": self.findings,
            "remedies": self.remedies,
            "remedies/{id:int}": self.remedy,
            "explain/{name}": self.explain,
            "series": self.series,
            "tick": self.tick,
            "audit": self.audit,
            "events": self.events,
            "clones": self.clones,
        }
        changes: dict[str, tuple[Role, Endpoint]] = {
            "remedies/{id:int}/{decision}": ("operator", self.decide),
            "pause": ("operator", self.pause),
            "resume": ("operator", self.resume),
            "detach": ("admin", self.detach),
            "autonomy": ("admin", self.autonomy),
            "clones": ("operator", self.create_clone),
            "clones/{name}/drop": ("operator", self.drop_clone),
            "link": ("admin", self.link),
            "tokens": ("admin", self.create_token),
            "tokens/{name}/revoke": ("admin", self.revoke_token),
        }
        return [
            *(Route(f"/api/v1/{path}", self._read(f)) for path, f in reads.items()),
            *(
                Route(f"/api/v1/{path}", self._change(role, f), methods=["POST"])
                for path, (role, f) in changes.items()
            ),
            Route("/api/v1/tokens", self._read(self.list_tokens, "admin")),
            Route(REPORT_PATH, self.report, methods=["POST"]),
            Route("/healthz", self.healthz),
            Route("/readyz", self.readyz),
        ]

    def _read(
        self, endpoint: Endpoint, role: Role = "viewer"
    ) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            visitor = self.access.visitor(request)
            visitor.need(role)
            return await endpoint(request, visitor)

        return handle

    def _change(self, role: Role, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            visitor = self.access.visitor(request)
            self.access.check_change(request, visitor)
            visitor.need(role)
            return await endpoint(request, visitor)

        return handle

    # -- reading

    async def status(self, _request: Request, _visitor: Visitor) -> Response:
        """GET /api/v1/status."""
        return Json(await self.call(self.console.status))

    async def findings(self, request: Request, _visitor: Visitor) -> Response:
        """GET /api/v1/findings?database=&all=1."""
        everything = request.query_params.get("all", "") in {"1", "true"}
        database = _database(request)
        return Json(
            await self.call(self.console.findings, database=database, open_only=not everything)
        )

    async def remedies(self, request: Request, _visitor: Visitor) -> Response:
        """GET /api/v1/remedies?database=&limit=."""
        limit = _whole(request, "limit", default=100, low=1, high=LIST_MAX)
        return Json(
            await self.call(self.console.remedies, database=_database(request), limit=limit)
        )

    async def remedy(self, request: Request, _visitor: Visitor) -> Response:
        """GET /api/v1/remedies/{id}."""
        return Json(await self.call(self.console.remedy, request.path_params["id"]))

    async def explain(self, request: Request, _visitor: Visitor) -> Response:
        """GET /api/v1/explain/{name}: a finding's number, a statement's key, or an operation."""
        return Json(await self.call(self.console.explain, request.path_params["name"]))

    async def series(self, request: Request, _visitor: Visitor) -> Response:
        """GET /api/v1/series?database=&metric=&subject=&start=&end=&points=."""
        end = _number(request, "end", default=self.clock.now())
        start = _number(request, "start", default=end - SERIES_SECONDS)
        if start >= end:
            raise RequestError("`start` must be before `end`, both in seconds since 1970 UTC.")
        return Json(
            await self.call(
                self.console.series,
                _required(request, "database"),
                _required(request, "metric"),
                request.query_params.get("subject") or "database",
                start=start,
                end=end,
                points=_whole(request, "points", default=300, low=1, high=POINTS_MAX),
            )
        )

    async def tick(self, request: Request, _visitor: Visitor) -> Response:
        """GET /api/v1/tick?database=."""
        return Json(await self.call(self.console.tick, _required(request, "database")))

    async def audit(self, request: Request, _visitor: Visitor) -> Response:
        """GET /api/v1/audit?limit=."""
        limit = _whole(request, "limit", default=100, low=1, high=LIST_MAX)
        return Json(await self.call(self.console.audit, limit=limit))

    async def events(self, request: Request, _visitor: Visitor) -> Response:
        """GET /api/v1/events?database=&after=, resumed by Last-Event-ID."""
        last = request.headers.get("last-event-id") or request.query_params.get("after")
        if last is not None and not (last.isascii() and last.isdigit() and len(last) < 19):
            raise RequestError("Last-Event-ID and `after` are the number of an event.")
        if self.pump.streams >= self.config.streams_max:
            raise TooManyStreamsError
        if request.method == "HEAD":
            return Response(media_type=EventStream.media_type)
        return EventStream(
            self.pump,
            clock=self.clock,
            after=None if last is None else int(last),
            database=_database(request),
        )

    # -- changing

    async def decide(self, request: Request, visitor: Visitor) -> Response:
        """POST /api/v1/remedies/{id}/approve, /reject or /revert."""
        number, decision = request.path_params["id"], request.path_params["decision"]
        if decision not in DECISIONS:
            raise NotFoundError(f"A decision is one of {', '.join(DECISIONS)}.")
        return Json(await self.call(self.console.decide, number, decision, actor=visitor.actor))

    async def pause(self, request: Request, visitor: Visitor) -> Response:
        """POST /api/v1/pause."""
        target = await _body(request, _Target)
        await self.call(self.console.pause, actor=visitor.actor, database=target.database)
        return Json(await self.call(self.console.status))

    async def resume(self, request: Request, visitor: Visitor) -> Response:
        """POST /api/v1/resume."""
        target = await _body(request, _Target)
        await self.call(self.console.resume, actor=visitor.actor, database=target.database)
        return Json(await self.call(self.console.status))

    async def detach(self, request: Request, visitor: Visitor) -> Response:
        """POST /api/v1/detach."""
        target = await _body(request, _Detach)
        await self.call(self.console.detach, target.database, actor=visitor.actor)
        return Json(await self.call(self.console.status))

    async def autonomy(self, request: Request, visitor: Visitor) -> Response:
        """POST /api/v1/autonomy."""
        wish = await _body(request, _Autonomy)
        await self.call(self.console.set_autonomy, wish.remedy, wish.autonomy, actor=visitor.actor)
        return Json(await self.call(self.console.status))

    async def clones(self, request: Request, _visitor: Visitor) -> Response:
        """GET /api/v1/clones?database=."""
        return Json(await self.call_copies(self.console.clones, database=_database(request)))

    async def create_clone(self, request: Request, visitor: Visitor) -> Response:
        """POST /api/v1/clones."""
        wish = await _body(request, _Clone)
        made = await self.call_copies(
            self.console.create_clone, wish.database, actor=visitor.actor, hours=wish.hours
        )
        return Json(made)

    async def drop_clone(self, request: Request, visitor: Visitor) -> Response:
        """POST /api/v1/clones/{name}/drop."""
        name = request.path_params["name"]
        return Json(await self.call_copies(self.console.drop_clone, name, actor=visitor.actor))

    async def link(self, request: Request, _visitor: Visitor) -> Response:
        """POST /api/v1/link."""
        wish = await _body(request, _Link)
        return Json({"url": self.access.new_link(actor=wish.name, role=wish.role)})

    # -- tokens

    async def list_tokens(self, _request: Request, _visitor: Visitor) -> Response:
        """GET /api/v1/tokens."""
        return Json(await self.call(self.access.tokens.list))

    async def create_token(self, request: Request, visitor: Visitor) -> Response:
        """POST /api/v1/tokens."""
        wish = await _body(request, _Token)

        def create() -> TokenView:
            made = self.access.tokens.create(wish.name, wish.role, days=wish.days)
            detail = {"role": made.role, "expires": made.expires}
            try:
                self.console.note("create token", made.name, detail, actor=visitor.actor)
            except HomeostatError:
                self.access.tokens.revoke(made.name)  # none that the audit log does not know
                raise
            return made

        return Json(await self.call(create))

    async def revoke_token(self, request: Request, visitor: Visitor) -> Response:
        """POST /api/v1/tokens/{name}/revoke."""

        def revoke() -> TokenView:
            gone = self.access.tokens.revoke(request.path_params["name"])
            self.console.note("revoke token", gone.name, {"role": gone.role}, actor=visitor.actor)
            return gone

        return Json(await self.call(revoke))

    # -- agents and health

    async def report(self, request: Request) -> Response:
        """POST /agent/v1/report: with the operator's own token, or one of role agent or admin."""
        program = self.access.program(request)
        if program is None:
            message = (
                "An agent sends the token of the operator's data directory, or one of its own."
            )
            raise SignInRequiredError(message)
        if program.role not in {"agent", "admin"}:
            raise RoleTooLowError(f"An agent's token has the role agent; this is {program.role}.")
        body = await read_body(request, bytes_max=REPORT_BYTES_MAX)
        version = _decode(body, _Version).v
        if version != PROTOCOL_VERSION:
            raise RequestError(
                f"This operator speaks version {PROTOCOL_VERSION} of the agent protocol, the "
                f"agent version {version}. Upgrade the older of the two."
            )
        report = _decode(body, Report)
        return Json(await self.call_report(self.console.report, report))

    async def healthz(self, _request: Request) -> Response:
        """GET /healthz: the process answers."""
        return Json({"alive": True})

    async def readyz(self, _request: Request) -> Response:
        """GET /readyz: the logbook takes entries and a database is observed."""
        reason = await self.call(self._unready)
        return Json({"ready": not reason, "reason": reason}, 503 if reason else 200)

    def _unready(self) -> str:
        try:
            status = self.console.status()
        except LogbookError:
            return "the logbook cannot be used"
        except HomeostatError:
            return "the operator does not answer"
        if status.state == "logbook":
            return "the logbook cannot be used"
        if not any(database.state != "unreachable" for database in status.databases):
            return "no database is observed"
        return ""


def autonomies() -> tuple[str, ...]:
    """Return the levels of autonomy, the most careful first."""
    return get_args(Autonomy)


async def _body(request: Request, shape: type[B]) -> B:
    body = await read_body(request, bytes_max=BODY_BYTES_MAX)
    return _decode(body or b"{}", shape)


def _decode(body: bytes, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = "The request body is not what this route takes. docs/reference/api.md shows it."
        raise RequestError(message, detail=str(error)) from None


def _database(request: Request) -> str | None:
    return request.query_params.get("database") or None


def _required(request: Request, name: str) -> str:
    value = request.query_params.get(name)
    if not value:
        raise RequestError(f"The parameter `{name}` is missing.")
    return value


def _number(request: Request, name: str, *, default: float) -> float:
    given = request.query_params.get(name)
    if not given:
        return default
    try:
        value = float(given)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise RequestError(f"The parameter `{name}` is not a number.")
    return value


def _whole(request: Request, name: str, *, default: int, low: int, high: int) -> int:
    value = _number(request, name, default=default)
    if value != int(value) or not low <= value <= high:
        raise RequestError(f"The parameter `{name}` is a whole number from {low} to {high}.")
    return int(value)
