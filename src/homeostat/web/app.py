"""Put the web application together: API, pages, event streams and static files behind one guard."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from homeostat.clock import Clock
from homeostat.config import WebConfig
from homeostat.operate.views import Console
from homeostat.web.api import api_routes
from homeostat.web.auth import Access, read_key
from homeostat.web.guard import Guard
from homeostat.web.pages import STATIC, Pages
from homeostat.web.stream import Pump
from homeostat.web.tokens import TokenBook
from homeostat.web.troubles import NoTroubles, Troubles

FOREVER = "public, max-age=31536000, immutable"  # addresses carry a digest of the content


class _Static(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if response.status_code in {200, 304} and scope.get("query_string"):
            response.headers["cache-control"] = FOREVER
        return response


def create_app(
    console: Console,
    *,
    token: str,
    config: WebConfig,
    port: int,
    clock: Clock,
    directory: Path,
    troubles: Troubles | None = None,
) -> Starlette:
    """Return the application; `app.state.access` makes sign-in links.

    Args:
        console: the operator; called from threads only.
        token: what programs send as bearer token.
        config: lifetimes and limits.
        port: where it will listen: requests for another host or port are refused.
        clock: tells when links and sessions end.
        directory: the operator's data directory; holds the key that signs sessions.
        troubles: what the page has buttons to break; None: this is no demo.

    Raises:
        SecretError: the key cannot be read or made.
    """
    access = Access(
        token=token,
        key=read_key(directory),
        port=port,
        config=config,
        clock=clock,
        tokens=TokenBook(directory, clock=clock),
    )
    pump = Pump(console)
    broken = troubles or NoTroubles()
    pages = Pages(console, access=access, clock=clock, troubles=broken)
    api = api_routes(console, access=access, pump=pump, config=config, clock=clock, troubles=broken)
    app = Starlette(
        routes=[*api, *pages.routes(), Mount("/static", _Static(directory=STATIC))],
        middleware=[Middleware(Guard, port=port, error_page=pages.error_page)],
        exception_handlers={HTTPException: _leave_to_guard},
        lifespan=_lifespan(pump),
    )
    app.state.access = access
    app.state.pump = pump
    return app


async def _leave_to_guard(_request: Request, error: Exception) -> Response:
    raise error


def _lifespan(pump: Pump) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        pump.start()
        try:
            yield
        finally:
            pump.stop()
            await pump.join()

    return lifespan
