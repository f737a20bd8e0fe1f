"""One route of the API: described once, where it is answered.

The decorator says method, path, role and errors. What a handler takes by the names `path`, `query`
and `body` are shapes, which are read from the request and refused when they do not fit; what it
returns is the answer, and its docstring says what for. Routing, docs/reference/routes.md and the
OpenAPI document are made from nothing else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_type_hints

import msgspec
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from homeostat.errors import (
    DatabaseError,
    HomeostatError,
    InvalidRequestError,
    LogbookError,
    MediaTypeError,
    NotFoundError,
    RequestError,
    RequestForbiddenError,
    RequestSlowError,
    RequestTooLargeError,
    RoleTooLowError,
    SignInRequiredError,
    TooManyRequestsError,
)
from homeostat.operate.views import Role
from homeostat.web.api.shapes import NoQuery
from homeostat.web.auth import Access, Visitor
from homeostat.web.guard import Json, read_body

BODY_BYTES_MAX = 16_384
JSON = "application/json"
Method = Literal["GET", "POST"]
Handler = Callable[..., Awaitable[object]]
H = TypeVar("H", bound=Handler)
T = TypeVar("T")
LAST_NAME = "/{name}"
ANY_TEXT = "any_text"
_MARK = "_homeostat_route"


class AnyText(Convertor[str]):
    """A part of a path with slashes and newlines in it, which Starlette's own `path` ends at."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        """Return the text as it is."""
        return value

    def to_string(self, value: str) -> str:
        """Return the text as it is."""
        return value


register_url_convertor(ANY_TEXT, AnyText())


@dataclass(frozen=True, slots=True)
class ApiRoute:
    """A route as it is described.

    Attributes:
        method, path: of HTTP; parameters of the path in braces.
        role: who may; None: anyone on this machine.
        name: of the handler.
        about: what it does, one or more sentences.
        query, path_shape, body: what it takes; None: nothing (the query is then empty).
        answer: the type of the answer.
        media: the media type of the answer.
        errors: what it fails with beside what every such route may.
        programs_only: a token is needed, a browser's sign-in does not do; of role agent or admin.
        bytes_max: the largest body.
    """

    method: Method
    path: str
    role: Role | None
    name: str
    about: str
    query: type[msgspec.Struct]
    path_shape: type[msgspec.Struct] | None
    body: type[msgspec.Struct] | None
    answer: Any
    media: str = JSON
    errors: tuple[type[HomeostatError], ...] = ()
    programs_only: bool = False
    bytes_max: int = BODY_BYTES_MAX

    @property
    def all_errors(self) -> tuple[type[HomeostatError], ...]:
        """Return every error that it may be answered with, but those of a program's mistakes."""
        found: list[type[HomeostatError]] = [RequestForbiddenError, InvalidRequestError]
        if self.role is not None:
            found += [SignInRequiredError, RoleTooLowError, TooManyRequestsError]
            found += [LogbookError, DatabaseError]
        if self.path_shape is not None:
            found.append(NotFoundError)
        if self.method == "POST":
            found += [RequestError, RequestTooLargeError, RequestSlowError, MediaTypeError]
        return (*found, *(one for one in self.errors if one not in found))


def route(
    method: Method,
    path: str,
    *,
    role: Role | None = "viewer",
    errors: tuple[type[HomeostatError], ...] = (),
    answer: Any = None,
    reads: type[msgspec.Struct] | None = None,
    media: str = JSON,
    programs_only: bool = False,
    bytes_max: int = BODY_BYTES_MAX,
) -> Callable[[H], H]:
    """Describe a route where it is answered; what it takes is that of ApiRoute.

    `answer` is given when the handler returns a whole Response, `reads` when it reads the body
    itself.
    """

    def mark(handler: H) -> H:
        hints = get_type_hints(handler)
        described = ApiRoute(
            method=method,
            path=path,
            role=role,
            name=handler.__name__,
            about=" ".join((handler.__doc__ or "").split()),
            query=hints.get("query", NoQuery),
            path_shape=hints.get("path"),
            body=hints.get("body", reads),
            answer=hints["return"] if answer is None else answer,
            media=media,
            errors=errors,
            programs_only=programs_only,
            bytes_max=bytes_max,
        )
        setattr(handler, _MARK, (described, frozenset(hints)))
        return handler

    return mark


def described(part: type) -> list[ApiRoute]:
    """Return the routes of a class, in the order of its text."""
    return [getattr(one, _MARK)[0] for one in vars(part).values() if hasattr(one, _MARK)]


def served(part: object, access: Access) -> list[Route]:
    """Return the routes of an object, behind the check of who asks."""
    handlers = [getattr(part, one.name) for one in described(type(part))]
    return [_served(handler, access) for handler in handlers]


def _served(handler: Handler, access: Access) -> Route:
    one, takes = getattr(handler, _MARK)

    async def handle(request: Request) -> Response:
        visitor = _admitted(one, request, access)
        given: dict[str, object] = {"request": request, "visitor": visitor}
        given["query"] = _query(request, one.query)
        if one.path_shape is not None:
            given["path"] = _path(request, one.path_shape)
        if one.body is not None and "body" in takes:
            given["body"] = await body_of(request, one.body, bytes_max=one.bytes_max)
        elif one.method == "POST" and one.body is None:
            await body_of(request, NoQuery, bytes_max=one.bytes_max)
        answer = await handler(**{name: value for name, value in given.items() if name in takes})
        return answer if isinstance(answer, Response) else Json(answer)

    path = one.path
    if path.endswith(LAST_NAME):  # operations may be called `orders/list`
        path = path.removesuffix(LAST_NAME) + LAST_NAME.replace("}", f":{ANY_TEXT}}}")
    return Route(path, handle, methods=[one.method])


def _admitted(one: ApiRoute, request: Request, access: Access) -> Visitor | None:
    """Return who asks; refuse who may not."""
    if one.role is None:
        return None
    if one.programs_only:
        return access.reporter(request)
    visitor = access.visitor(request)
    if one.method == "POST":
        access.check_change(request, visitor)
    visitor.need(one.role)
    return visitor


def _query(request: Request, shape: type[T]) -> T:
    pairs = request.query_params.multi_items()
    given = dict(pairs)
    if len(given) != len(pairs):
        twice = next(name for name, _ in pairs if sum(name == other for other, _ in pairs) > 1)
        raise InvalidRequestError(f"The parameter `{twice}` is given twice. Give it once.")
    try:
        return msgspec.convert(given, shape, strict=False)
    except msgspec.ValidationError as error:
        message = "A parameter is not what this route takes. docs/reference/routes.md lists them."
        raise InvalidRequestError(message, detail=str(error)) from None


def _path(request: Request, shape: type[T]) -> T:
    try:
        return msgspec.convert(dict(request.path_params), shape, strict=False)
    except msgspec.ValidationError as error:
        raise NotFoundError(detail=str(error)) from None


async def body_of(request: Request, shape: type[T], *, bytes_max: int) -> T:
    """Return the body as a shape; the errors are those of `raw_of` and `decode`."""
    return decode(await raw_of(request, bytes_max=bytes_max), shape)


async def raw_of(request: Request, *, bytes_max: int) -> bytes:
    """Return the body; an empty one is `{}`.

    Raises:
        RequestTooLargeError: it is longer than `bytes_max`.
        MediaTypeError: it is declared to be something else than JSON.
    """
    raw = await read_body(request, bytes_max=bytes_max)
    kind = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if raw and kind != JSON:
        raise MediaTypeError(detail=kind[:80])
    return raw or b"{}"


def decode(raw: bytes, shape: type[T]) -> T:
    """Return JSON as a shape.

    Raises:
        RequestError: it is no JSON.
        InvalidRequestError: it is not of the shape.
    """
    message = "The request body is not what this route takes. docs/reference/routes.md shows it."
    try:
        return msgspec.json.decode(raw, type=shape)
    except msgspec.ValidationError as error:
        raise InvalidRequestError(message, detail=str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RequestError(message, detail=str(error)) from None
