"""The pages for people: the databases, signing in, and the pages of each database.

Everything is rendered on the server from one look at the Console; the script asks for the same
again when an event says that it changed. Buttons are forms, so they work without a script. Nothing
is shown that was not measured.
"""

from __future__ import annotations

from starlette.routing import BaseRoute

from homeostat.clock import Clock
from homeostat.operate.views import Console
from homeostat.web.auth import Access
from homeostat.web.pages.activity import ActivityPage
from homeostat.web.pages.audit import AuditPages
from homeostat.web.pages.frame import Frame
from homeostat.web.pages.home import HomePages
from homeostat.web.pages.overview import PARTS, OverviewPages
from homeostat.web.pages.performance import PerformancePage
from homeostat.web.pages.remedies import RemedyPages
from homeostat.web.pages.settings import SettingsPage
from homeostat.web.pages.statements import StatementPages
from homeostat.web.pages.tables import TablesPage
from homeostat.web.pages.templating import STATIC
from homeostat.web.pages.troubles import TroubleForms
from homeostat.web.troubles import Troubles

__all__ = ["PARTS", "STATIC", "Pages"]


class Pages:
    """The routes for people."""

    def __init__(
        self, console: Console, *, access: Access, clock: Clock, troubles: Troubles
    ) -> None:
        frame = Frame(console, access, clock)
        self.error_page = frame.error_page
        self._rooms = (
            HomePages(frame),
            TroubleForms(frame, troubles),
            OverviewPages(frame),
            PerformancePage(frame),
            StatementPages(frame),
            TablesPage(frame),
            ActivityPage(frame),
            RemedyPages(frame),
            SettingsPage(frame),
            AuditPages(frame),
        )

    def routes(self) -> list[BaseRoute]:
        """Return all routes."""
        return [route for room in self._rooms for route in room.routes()]
