"""Routes for machines: agents' reports, health, and the API's own description."""

from __future__ import annotations

from dataclasses import dataclass, field

import anyio
import msgspec
from starlette.requests import Request
from starlette.responses import Response

from homeostat.access.protocol import PROTOCOL_VERSION, REPORT_BYTES_MAX, REPORT_PATH, Reply, Report
from homeostat.errors import HomeostatError, InvalidRequestError, LogbookError
from homeostat.operate.views import Console
from homeostat.web.api.calls import THREADS_REPORTS, Calls
from homeostat.web.api.route import decode, raw_of, route
from homeostat.web.api.shapes import Alive, Document, Ready
from homeostat.web.guard import Json


class _Version(msgspec.Struct):
    v: int


def _reports() -> Calls:
    return Calls(anyio.CapacityLimiter(THREADS_REPORTS))


@dataclass(slots=True)
class Programs:
    """The routes that other programs ask by themselves."""

    console: Console
    document: bytes
    call: Calls = field(default_factory=Calls)
    call_report: Calls = field(default_factory=_reports)

    @route(
        "POST",
        REPORT_PATH,
        role="agent",
        programs_only=True,
        reads=Report,
        bytes_max=REPORT_BYTES_MAX,
    )
    async def report(self, request: Request) -> Reply:
        """Take an agent's report and answer with its settings and commands."""
        raw = await raw_of(request, bytes_max=REPORT_BYTES_MAX)
        version = decode(raw, _Version).v  # first: another version may have another shape
        if version != PROTOCOL_VERSION:
            raise InvalidRequestError(
                f"This operator speaks version {PROTOCOL_VERSION} of the agent protocol, the "
                f"agent version {version}. Upgrade the older of the two."
            )
        return await self.call_report(self.console.report, decode(raw, Report))

    @route("GET", "/healthz", role=None)
    async def healthz(self) -> Alive:
        """Say that the process answers."""
        return Alive(alive=True)

    @route("GET", "/readyz", role=None, answer=Ready)
    async def readyz(self) -> Response:
        """Say whether the logbook can be used and a database is observed; 503 when not."""
        reason = await self.call(self._unready)
        return Json(Ready(ready=not reason, reason=reason), 503 if reason else 200)

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

    @route("GET", "/api/openapi.json", role=None, answer=Document)
    async def openapi(self) -> Response:
        """Return this description of the API, as an OpenAPI document."""
        return Response(self.document, media_type="application/json")
