"""Routes of the demo's troubles: what there is to break, and switching it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import msgspec

from homeostat.errors import OperateError
from homeostat.web.api.calls import Calls
from homeostat.web.api.route import route
from homeostat.web.auth import Visitor
from homeostat.web.troubles import Troubles, TroubleView


class OneTrouble(msgspec.Struct):
    """The path of one trouble, and which way it is switched."""

    name: str
    way: Literal["on", "off"]


@dataclass(slots=True)
class Breaking:
    """The routes of troubles; everywhere but in the demo there is nothing to switch."""

    troubles: Troubles
    call: Calls = field(default_factory=Calls)

    @route("GET", "/api/v1/troubles")
    async def list_troubles(self) -> list[TroubleView]:
        """List what the demo's sample app can be made to suffer; nothing but there."""
        return await self.call(self.troubles.list)

    @route("POST", "/api/v1/troubles/{name}/{way}", role="operator", errors=(OperateError,))
    async def switch_trouble(self, path: OneTrouble, visitor: Visitor) -> TroubleView:
        """Switch a trouble of the demo on or off."""
        on = path.way == "on"
        return await self.call(self.troubles.switch, path.name, on=on, actor=visitor.actor)
