"""The JSON API of the operator: what the CLI, agents and the page's script use.

It decides nothing itself: every request becomes one call of the Console, made in a thread so that
a slow one never holds up the others. A route is described once, by the decorator where it is
answered; routing, the reference page and the OpenAPI document are made from that.
"""

from __future__ import annotations

from starlette.routing import BaseRoute

from homeostat.clock import Clock
from homeostat.config import WebConfig
from homeostat.operate.views import Console
from homeostat.web.api.breaking import Breaking
from homeostat.web.api.calls import Calls
from homeostat.web.api.changing import Changing
from homeostat.web.api.looking import Looking
from homeostat.web.api.openapi import encoded
from homeostat.web.api.programs import Programs
from homeostat.web.api.reading import Reading
from homeostat.web.api.route import BODY_BYTES_MAX, ApiRoute, described, served
from homeostat.web.api.shapes import DECISIONS, autonomies
from homeostat.web.auth import Access
from homeostat.web.stream import Pump
from homeostat.web.troubles import Troubles

__all__ = [
    "BODY_BYTES_MAX",
    "DECISIONS",
    "ROUTES",
    "ApiRoute",
    "Calls",
    "api_routes",
    "autonomies",
]

ROUTES: tuple[ApiRoute, ...] = (
    *described(Reading),
    *described(Looking),
    *described(Changing),
    *described(Breaking),
    *described(Programs),
)


def api_routes(
    console: Console,
    *,
    access: Access,
    pump: Pump,
    config: WebConfig,
    clock: Clock,
    troubles: Troubles,
) -> list[BaseRoute]:
    """Return every route of the API, of the agents, and of health."""
    parts = (
        Reading(console, pump, config, clock),
        Looking(console, clock),
        Changing(console, access),
        Breaking(troubles),
        Programs(console, encoded(ROUTES)),
    )
    return [one for part in parts for one in served(part, access)]
