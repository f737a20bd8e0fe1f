"""The page of tables and indexes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from homeostat.errors import RequestError
from homeostat.operate.insights import TableRow
from homeostat.web.auth import Visitor
from homeostat.web.pages.frame import Frame, Sight

ORDERS: dict[str, tuple[str, Callable[[TableRow], float]]] = {
    "size": ("Size", lambda one: (one.bytes or 0.0) + (one.index_bytes or 0.0)),
    "rows": ("Rows", lambda one: one.rows or 0.0),
    "growth": ("Growth", lambda one: one.grown_bytes or 0.0),
    "waste": ("Waste", lambda one: one.waste_bytes or 0.0),
    "scans": ("Rows read by full scans", lambda one: one.full_scan_rows or 0.0),
}
ORDER = "size"


class TablesPage:
    """Sizes, rows, waste, growth and use."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [Route("/db/{key}/tables", self.frame.page(self.tables))]

    async def tables(self, request: Request, visitor: Visitor) -> Response:
        """GET /db/{key}/tables?order=."""
        order = request.query_params.get("order", ORDER)
        if order not in ORDERS:
            raise RequestError(f"`order` is one of {', '.join(ORDERS)}.")

        def look(sight: Sight) -> dict[str, Any]:
            found = self.frame.console.tables(sight.database.key)
            rows = sorted(found.tables, key=ORDERS[order][1], reverse=True)
            return {
                "found": found,
                "rows": rows,
                "order": order,
                "orders": {name: title for name, (title, _) in ORDERS.items()},
                "reasons": reasons(rows),
                "hidden": {
                    name
                    for name in NAMES
                    if rows
                    and all(getattr(row, name) is None for row in rows)
                    and all(name in row.unknown for row in rows)
                },
                "events": "tick",
                "every": 60,
            }

        return await self.frame.view(request, visitor, "tables.html", look)


NAMES = {
    "rows": "Rows",
    "dead_rows": "Dead rows",
    "bytes": "Size",
    "index_bytes": "Size of indexes",
    "waste_bytes": "Waste",
    "changed": "Changed rows",
    "analysed": "Last analyse",
    "vacuumed": "Last vacuum",
    "full_scans": "Full scans",
    "index_scans": "Index scans",
    "grown_bytes": "Growth",
}


def reasons(rows: list[TableRow]) -> dict[str, list[str]]:
    """Return why numbers are unknown: each reason once, with the columns that it explains."""
    found: dict[str, list[str]] = {}
    for row in rows:
        for name, reason in row.unknown.items():
            column = NAMES.get(name)
            if column and column not in found.setdefault(reason, []):
                found[reason].append(column)
    return {reason: columns for reason, columns in found.items() if columns}
