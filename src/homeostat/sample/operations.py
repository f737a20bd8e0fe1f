"""What the persona app does to its database: named operations, their mix and their parameters.

Every operation touches a bounded number of rows by an index: the aggregates read the newest rows,
not all. The statements are the same on both engines (`sql/operations.sql`). Ids are made by the
caller from time and chance, so that a repeated insert has the effect of one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

from homeostat.access.operation import Operation
from homeostat.sample.schema import TYPES, scores_of

EXPECTED_MS = 10.0
ID_RANDOM_BITS = 20
PAGE_ROWS = 20
DASHBOARD_ROWS = 200
TREND_ROWS = 500

_TEXT = Path(__file__).parent / "sql" / "operations.sql"
_ID = ("user_id", "id")


@dataclass(frozen=True, slots=True)
class Person:
    """A user that traffic acts for; `personality_type` is None unless declared."""

    id: int
    personality_type: str | None


@dataclass(frozen=True, slots=True)
class Part:
    """One operation's part in the mix: its weight, and how its parameters are drawn."""

    operation: Operation
    weight: float
    draw: Callable[[Person, Random, int], Mapping[str, object]]


def new_id(now_ms: int, chance: Random) -> int:
    """Return an id that orders by time: milliseconds, then 20 random bits."""
    return (now_ms << ID_RANDOM_BITS) | chance.getrandbits(ID_RANDOM_BITS)


def _texts() -> dict[str, str]:
    found: dict[str, str] = {}
    for part in _TEXT.read_text(encoding="utf-8").split(";\n"):
        match = re.match(r"\s*-- (\w+): [^\n]*\n(.*)", part, re.DOTALL)
        if match:
            found[match[1]] = match[2].strip()
    return found


def _of_user(person: Person, _chance: Random, _now_ms: int) -> dict[str, object]:
    return {"user_id": person.id}


def _page(rows: int) -> Callable[[Person, Random, int], dict[str, object]]:
    return lambda person, _chance, _now_ms: {"user_id": person.id, "page_size": rows}


def _by_email(person: Person, _chance: Random, _now_ms: int) -> dict[str, object]:
    return {"email": f"user{person.id}@example.org"}


def _newest(_person: Person, _chance: Random, _now_ms: int) -> dict[str, object]:
    return {"page_size": PAGE_ROWS}


def _trend(person: Person, chance: Random, _now_ms: int) -> dict[str, object]:
    return {
        "personality_type": person.personality_type or chance.choice(TYPES),
        "page_size": TREND_ROWS,
    }


def _now(person: Person, _chance: Random, now_ms: int) -> dict[str, object]:
    return {"user_id": person.id, "now_ms": now_ms}


def _event(person: Person, chance: Random, now_ms: int) -> dict[str, object]:
    return {
        "user_id": person.id,
        "id": new_id(now_ms, chance),
        "kind": chance.choice(("open", "share", "tap", "view", "view", "view")),
        "screen": chance.choice(("history", "home", "insights", "profile")),
        "duration_ms": chance.randrange(16_384),
        "now_ms": now_ms,
    }


def _session(person: Person, chance: Random, now_ms: int) -> dict[str, object]:
    return {
        "user_id": person.id,
        "id": new_id(now_ms, chance),
        "device": chance.choice(("phone", "phone", "tablet", "web")),
        "now_ms": now_ms,
    }


def _preference(person: Person, chance: Random, now_ms: int) -> dict[str, object]:
    name, values = chance.choice(
        (
            ("digest", ("daily", "weekly")),
            ("reminders", ("off", "on")),
            ("theme", ("dark", "light")),
        )
    )
    return {"user_id": person.id, "name": name, "value": chance.choice(values), "now_ms": now_ms}


def _assessment(person: Person, chance: Random, now_ms: int) -> dict[str, object]:
    personality_type = person.personality_type or chance.choice(TYPES)
    scores = {
        name: score + chance.randrange(16) for name, score in scores_of(personality_type).items()
    }
    return {
        "user_id": person.id,
        "id": new_id(now_ms, chance),
        "personality_type": personality_type,
        "confidence": 0.5 + chance.random() / 2,
        "now_ms": now_ms,
        **scores,
    }


def _insight(person: Person, chance: Random, now_ms: int) -> dict[str, object]:
    return {
        "user_id": person.id,
        "id": new_id(now_ms, chance),
        "kind": chance.choice(("growth", "habit", "strength", "tension")),
        "body": "You have been steadier this week than the week before.",
        "score": chance.randrange(101),
        "now_ms": now_ms,
    }


def _region(person: Person, chance: Random, _now_ms: int) -> dict[str, object]:
    return {
        "user_id": person.id,
        "region": chance.choice(("africa", "americas", "asia", "europe")),
    }


def _parts() -> dict[str, Part]:
    texts = _texts()
    found: dict[str, Part] = {}

    def part(
        name: str,
        weight: float,
        draw: Callable[[Person, Random, int], Mapping[str, object]],
        *tables: str,
        write: bool = False,
    ) -> None:
        # every parameter has a value in every call: what a draw gives is what is declared
        parameters = tuple(draw(Person(1, TYPES[0]), Random(0), 0))
        found[name] = Part(
            Operation(
                name=name,
                sql=texts[name],
                parameters=parameters,
                write=write,
                tables=tables,
                scope="user_id" if "user_id" in parameters else None,
                idempotent=True,
                limit="page_size" if "page_size" in parameters else None,
                expected_ms=EXPECTED_MS,
            ),
            weight,
            draw,
        )

    part("open_home", 0.19, _of_user, "users", "insights")
    part("load_profile", 0.12, _of_user, "users", "assessments")
    part("list_insights", 0.12, _page(PAGE_ROWS), "insights")
    part("list_history", 0.08, _page(PAGE_ROWS), "analytics_events")
    part("list_preferences", 0.07, _of_user, "preferences")
    part("list_assessments", 0.04, _page(PAGE_ROWS), "assessments")
    part("list_sessions", 0.02, _page(PAGE_ROWS), "sessions")
    part("list_online", 0.01, _newest, "sessions")
    part("show_dashboard", 0.05, _page(DASHBOARD_ROWS), "analytics_events")
    part("find_user", 0.03, _by_email, "users")
    part("list_newest_users", 0.01, _newest, "users")
    part("show_type_trend", 0.01, _trend, "assessments")
    part("record_event", 0.12, _event, "analytics_events", write=True)
    part("start_session", 0.04, _session, "sessions", write=True)
    part("end_session", 0.03, _now, "sessions", write=True)
    part("save_preference", 0.03, _preference, "preferences", write=True)
    part("read_insight", 0.01, _now, "insights", write=True)
    part("submit_assessment", 0.005, _assessment, "assessments", write=True)
    part("add_insight", 0.01, _insight, "insights", "assessments", write=True)
    part("move_user", 0.005, _region, "users", write=True)
    return found


MIX: Mapping[str, Part] = _parts()
OPERATIONS: tuple[Operation, ...] = tuple(part.operation for part in MIX.values())


def mix_table() -> str:
    """Return the mix as the Markdown table of docs/explanation/sample.md."""
    lines = ["| operation | kind | tables | share |", "|---|---|---|---|"]
    for name, part in MIX.items():
        kind = "write" if part.operation.write else "read"
        tables = ", ".join(part.operation.tables)
        lines.append(f"| `{name}` | {kind} | {tables} | {100 * part.weight:g} % |")
    return "\n".join(lines) + "\n"
