"""What every request passes: the Host check, security headers, and errors without a traceback.

A page of another site can point its own name at 127.0.0.1 and so reach this server (DNS
rebinding); the Host header tells, so anything but our own names is refused. Errors are answered as
`{"error", "kind"}` to programs and as a page to people; what is unexpected goes to the log only.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, MutableMapping
from typing import Any

import anyio
import msgspec
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from homeostat.errors import (
    CloneRefusedError,
    ConfigError,
    ConnectError,
    ConnectionLostError,
    DatabaseError,
    DatabaseLockedError,
    DeadlineExceededError,
    DecisionRefusedError,
    HomeostatError,
    InvalidRequestError,
    LogbookError,
    MediaTypeError,
    NameTakenError,
    NotFoundError,
    RequestError,
    RequestForbiddenError,
    RequestSlowError,
    RequestTooLargeError,
    RoleTooLowError,
    SerializationError,
    SignInRequiredError,
    StatementCancelledError,
    TooManyRequestsError,
    UnsupportedError,
)

log = logging.getLogger(__name__)

# No inline script or style, nothing from elsewhere, in no frame.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
# Failures of a database that pass by themselves. What stays until somebody acts, or is a defect of
# ours (a statement refused), is a 500: asking again would not help, and the log has to say where.
HEALING: tuple[type[DatabaseError], ...] = (
    ConnectError,
    ConnectionLostError,
    DatabaseLockedError,
    DeadlineExceededError,
    StatementCancelledError,
    SerializationError,
)
STATUS: tuple[tuple[type[HomeostatError], int], ...] = (
    (SignInRequiredError, 401),
    (RequestForbiddenError, 403),
    (RoleTooLowError, 403),
    (NotFoundError, 404),
    (DecisionRefusedError, 409),
    (CloneRefusedError, 409),
    (NameTakenError, 409),
    (RequestSlowError, 408),
    (RequestTooLargeError, 413),
    (MediaTypeError, 415),
    (InvalidRequestError, 422),
    (TooManyRequestsError, 429),
    (RequestError, 400),
    (ConfigError, 400),
    (LogbookError, 503),
    (UnsupportedError, 409),
    *((kind, 503) for kind in HEALING),
)
MEANING = {
    400: "The request cannot be read, or what it asks for is not possible.",
    401: "No token and no sign-in, or a wrong token.",
    403: "Another host name, another page made the browser send it, or too small a role.",
    404: "There is nothing of this number or name.",
    405: "The route does not take this method.",
    408: "The body did not come in time.",
    409: "It cannot be done now.",
    413: "The body is too large.",
    415: "The body is not declared to be JSON.",
    422: "A parameter or the body is not what the route takes; the message names it.",
    429: "Too much is asked at once; Retry-After says when to come again.",
    500: "Anything else, also a damaged database; the operator's log says where it happened.",
    503: "The logbook or the database cannot be used now; Retry-After says when to ask again.",
}
RETRY_SECONDS = "1"
DATABASE_RETRY_SECONDS = "10"  # a server that is down is back after some seconds at the earliest
BODY_SECONDS_MAX = 10.0
UNEXPECTED = "Something failed inside Homeostat. The operator's log has the details."
FOR_PROGRAMS = ("/api/", "/agent/", "/healthz", "/readyz", "/metrics")

ErrorPage = Callable[[Request, int, str, str], Response]


class Json(Response):
    """A value as JSON, by msgspec."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Return the encoded value."""
        return msgspec.json.encode(content)


def status_of(error: Exception) -> int:
    """Return the HTTP status that says what kind of failure it was."""
    if isinstance(error, HTTPException):
        return error.status_code
    return next((status for kind, status in STATUS if isinstance(error, kind)), 500)


def describe(error: Exception) -> tuple[str, str]:
    """Return the message and kind that may be shown."""
    if isinstance(error, HomeostatError):
        return str(error), type(error).__name__
    if isinstance(error, HTTPException):
        if error.status_code == 404:
            return "There is no such page.", NotFoundError.__name__
        if error.status_code == 405:
            return "This address does not take this method.", RequestError.__name__
        return error.detail, RequestError.__name__
    return UNEXPECTED, "InternalError"


def headers_of(error: Exception) -> dict[str, str]:
    """Return the headers that belong to a failure: how to sign in, when to come again."""
    status = status_of(error)
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    if status in {429, 503}:
        seconds = DATABASE_RETRY_SECONDS if isinstance(error, DatabaseError) else RETRY_SECONDS
        headers["retry-after"] = seconds
    return headers


class Guard:
    """The middleware around the whole application."""

    def __init__(self, app: ASGIApp, *, port: int, error_page: ErrorPage) -> None:
        self.app = app
        self.hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")}
        if port == 80:
            self.hosts |= {"127.0.0.1", "localhost", "[::1]"}
        self.error_page = error_page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        started = False

        async def send_guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                _add_headers(message)
            await send(message)

        try:
            self._check_host(request)
            await self.app(scope, receive, send_guarded)
        except Exception as error:
            if started:
                raise
            await self.answer(request, error)(scope, receive, send_guarded)

    def _check_host(self, request: Request) -> None:
        if request.headers.get("host", "").lower() not in self.hosts:
            raise RequestForbiddenError("This server answers to 127.0.0.1 and localhost only.")

    def answer(self, request: Request, error: Exception) -> Response:
        """Return what to say about a failure."""
        status = status_of(error)
        message, kind = describe(error)
        if status == 500:
            log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        elif status >= 500:
            log.warning("%s %s: %s", request.method, request.url.path, error)
        if request.url.path.startswith(FOR_PROGRAMS):
            return Json({"error": message, "kind": kind}, status, headers=headers_of(error))
        return self.error_page(request, status, message, kind)


def _add_headers(message: MutableMapping[str, Any]) -> None:
    headers = MutableHeaders(scope=message)
    for name, value in HEADERS.items():
        headers[name] = value
    headers.setdefault("cache-control", "no-store")


async def read_body(request: Request, *, bytes_max: int) -> bytes:
    """Return the body.

    Raises:
        RequestTooLargeError: it is longer than `bytes_max`; the rest is not read.
        RequestSlowError: it was not there within BODY_SECONDS_MAX.
    """
    message = f"The request body is larger than {bytes_max:,} bytes. Send less at once."
    length = request.headers.get("content-length", "0")
    if not length.isdigit() or int(length) > bytes_max:
        raise RequestTooLargeError(message)
    body = bytearray()
    try:
        with anyio.fail_after(BODY_SECONDS_MAX):
            async for chunk in request.stream():
                body += chunk
                if len(body) > bytes_max:
                    raise RequestTooLargeError(message)
    except TimeoutError:
        raise RequestSlowError from None
    return bytes(body)
