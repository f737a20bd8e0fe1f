"""The persona app's schema, its marker and the personality types.

Every table is keyed by user, so that it can be sharded by it, and every column means the same on
both engines. The marker table `homeostat_demo` shows that a database is the demo's own; a database
with other tables and no marker is never changed. A type is only what a user declares.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

from homeostat.driver.wire import Wire
from homeostat.errors import DemoRefusedError

SCHEMA_VERSION = 1
MARKER_TABLE = "homeostat_demo"
TABLES = ("users", "assessments", "preferences", "sessions", "analytics_events", "insights")
TYPES = tuple("".join(letters) for letters in itertools.product("EI", "NS", "FT", "JP"))
FUNCTIONS = ("ni", "ne", "si", "se", "ti", "te", "fi", "fe")
STACK_SCORES = (80, 65, 45, 30)  # dominant to inferior; the sample adds 0 to 15
SHADOW_SCORE = 15  # a function outside the stack
UNDECLARED = "undeclared"
SEGMENTS = ("analysts", "diplomats", "sentinels", "explorers", UNDECLARED)

_SQL = Path(__file__).parent / "sql"
_OPPOSITE = {"n": "s", "s": "n", "t": "f", "f": "t", "e": "i", "i": "e"}
_TABLES_THERE = {
    "sqlite": "SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    "postgresql": (
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname <> 'information_schema' "
        "AND left(n.nspname, 3) <> 'pg_' ORDER BY 1"
    ),
}


@dataclass(frozen=True, slots=True)
class Marker:
    """The row of the marker table.

    Attributes:
        version: the SCHEMA_VERSION that made the tables.
        users: how many users were asked for.
        random_seed: what the values are derived from.
        now_ms: the present of the data, in milliseconds since 1970 UTC.
        loaded: how many users are there; all of them with all their rows.
        state: `seeding` until everything is there, then `seeded`.
    """

    version: int
    users: int
    random_seed: int
    now_ms: int
    loaded: int
    state: str


def stack_of(personality_type: str) -> tuple[str, str, str, str]:
    """Return a type's functions, dominant to inferior, e.g. INTJ: ni te fi se.

    J types turn their judging function (T, F) outwards, P types their perceiving one (N, S); the
    letter E or I says whether the outward one leads; the other two mirror the first two.
    """
    attitude, perceiving, judging, order = tuple(personality_type.lower())
    outward, inward = (judging, perceiving) if order == "j" else (perceiving, judging)
    pair = [outward + "e", inward + "i"]
    dominant, auxiliary = pair if attitude == "e" else pair[::-1]
    return dominant, auxiliary, _mirrored(auxiliary), _mirrored(dominant)


def _mirrored(function: str) -> str:
    return "".join(_OPPOSITE[letter] for letter in function)


def scores_of(personality_type: str) -> dict[str, int]:
    """Return the score (0 to 100) that each of the eight functions starts from."""
    strong = dict(zip(stack_of(personality_type), STACK_SCORES, strict=True))
    return {function: strong.get(function, SHADOW_SCORE) for function in FUNCTIONS}


def segment_of(personality_type: str | None) -> str:
    """Return the group of a declared type, or UNDECLARED."""
    if personality_type is None:
        return UNDECLARED
    if personality_type[1] == "N":
        return "analysts" if personality_type[2] == "T" else "diplomats"
    return "sentinels" if personality_type[3] == "J" else "explorers"


def statements(name: str) -> list[str]:
    """Return the statements of a file below `sql/`, e.g. `sqlite/tables`."""
    text = (_SQL / f"{name}.sql").read_text(encoding="utf-8")
    return [part.strip() for part in text.split(";\n") if part.strip()]


def read_marker(wire: Wire) -> Marker | None:
    """Return the marker of the demo's own database, or None for an empty database.

    Raises:
        DemoRefusedError: there are tables but no marker, or a newer version made it.
    """
    there = [str(row[0]) for row in wire.execute(_TABLES_THERE[wire.dialect]).rows]
    if not there:
        return None
    if MARKER_TABLE not in there:
        raise DemoRefusedError(where=wire.label, detail=f"it has {', '.join(there[:3])}")
    rows = wire.execute(
        "SELECT version, users, random_seed, now_ms, loaded, state FROM homeostat_demo"
    ).dicts()
    if not rows:
        raise DemoRefusedError(where=wire.label, detail=f"{MARKER_TABLE} is empty")
    row = rows[0]
    marker = Marker(**row)  # type: ignore[arg-type]  # both engines return these types
    if marker.version > SCHEMA_VERSION:
        raise DemoRefusedError(
            "A newer Homeostat made this demo. Use that one, or give an empty database.",
            where=wire.label,
        )
    return marker


def create(wire: Wire, marker: Marker) -> None:
    """Create marker and tables inside the open transaction; keys on PostgreSQL come at the end."""
    for name in ("marker", "tables"):
        for statement in statements(f"{wire.dialect}/{name}"):
            wire.execute(statement)
    wire.execute(
        "INSERT INTO homeostat_demo (one, version, users, random_seed, now_ms, loaded, state) "
        "VALUES (1, :version, :users, :random_seed, :now_ms, :loaded, :state)",
        {
            "version": marker.version,
            "users": marker.users,
            "random_seed": marker.random_seed,
            "now_ms": marker.now_ms,
            "loaded": marker.loaded,
            "state": marker.state,
        },
    )


def drop(wire: Wire) -> None:
    """Drop the demo's own tables and marker inside the open transaction."""
    for table in (*reversed(TABLES), MARKER_TABLE):
        wire.execute(f"DROP TABLE IF EXISTS {table}")
