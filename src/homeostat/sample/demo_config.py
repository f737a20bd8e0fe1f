"""What the demo's operator is configured with: shortened windows, and where it may make clones.

All of it is printed at the start, beside what is usual.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

import msgspec

from homeostat.config import Config
from homeostat.driver.urls import is_postgres_url
from homeostat.engine.postgres_programs import find_programs
from homeostat.sample.address import connect_reading

CONFIG_FILE = "demo.toml"
Section = Mapping[str, float | int | str]

WINDOWS: dict[str, Section] = {
    "monitor": {
        "performance_seconds": 1.0,
        "health_seconds": 5.0,
        "capacity_seconds": 5.0,
        "growth_seconds": 30.0,
    },
    "operate": {
        "autonomy": "auto",
        "lease_seconds": 6.0,
        "batch_seconds": 2.0,
        "settle_seconds": 4.0,
        "cooldown_seconds": 8.0,  # what one trouble left is over before the next is acted on
    },
    "agent": {"report_seconds": 0.5},
    "tune": {"queries_seconds": 2.0, "window_seconds": 6.0, "findings_max": 2},
}
SLOW_QUERY_MS_MIN = 2.0
COST_MS_PER_SECOND_MIN = 10.0
INDEX_USERS_MIN = 10_000  # of fewer, all sessions are read before anybody would notice
CLONE_SAMPLE_BYTES = 40_000_000  # PostgreSQL: a larger clone would take longer than the story
RIGHT_SQL = (
    "SELECT rolsuper OR rolcreatedb AS may, current_setting('server_version_num')::int / 10000 "
    "AS major FROM pg_roles WHERE rolname = current_user"
)


@dataclass(frozen=True, slots=True)
class ClonePlace:
    """Where remedies are rehearsed.

    Attributes:
        section: the `[clone]` section of the configuration.
        sentence: what is said about it.
        there: whether there is such a place.
    """

    section: Section
    sentence: str
    there: bool = True


def clone_place(url: str) -> ClonePlace:
    """Return where clones of the demo's database can be made: beside it, if they can be at all.

    Raises:
        ConnectError: the database cannot be reached; the subclass says why.
    """
    if not is_postgres_url(url):
        return ClonePlace({}, "remedies are rehearsed on copies of the file in the data directory")
    with closing(connect_reading(url, application_name="homeostat-demo")) as wire:
        row = wire.execute(RIGHT_SQL).dicts()[0]
    programs = find_programs("")
    missing = ""
    if not row["may"]:
        missing = "this role may not create databases (ALTER ROLE ... CREATEDB)"
    elif programs is None:
        missing = "pg_dump and pg_restore are not installed here"
    elif programs.major < int(str(row["major"])):
        missing = f"pg_dump is of version {programs.major}, the server of {row['major']}"
    if missing:
        sentence = (
            f"no remedy can be rehearsed on a copy here: {missing}; so no index is built, and the "
            "story begins with the pool"
        )
        return ClonePlace({}, sentence, there=False)
    sentence = (
        "remedies are rehearsed on copies: databases of their own on the same server, with a "
        f"sample of the rows above {CLONE_SAMPLE_BYTES / 1e6:.0f} MB"
    )
    return ClonePlace({"url": url, "sample_bytes": CLONE_SAMPLE_BYTES}, sentence)


def windows_for(users: int) -> dict[str, Section]:
    """Return the shortened windows, and what is slow where the tables are that small.

    Args:
        users: in the database; by default 100,000, which makes 800,000 sessions.
    """
    slow = {
        "slow_query_ms": max(SLOW_QUERY_MS_MIN, users / 10_000),
        "cost_ms_per_second": max(COST_MS_PER_SECOND_MIN, users / 4_000),
    }
    return {**WINDOWS, "tune": {**WINDOWS["tune"], **slow}}


def explain_windows(windows: Mapping[str, Section]) -> list[str]:
    """Return what the demo shortens, beside what is usual."""
    usual = Config()
    lines = ["the demo shortens the windows that decisions are made on (usual values in brackets):"]
    parts = []
    for section, values in windows.items():
        for name, value in values.items():
            if isinstance(value, int | float):
                normal = getattr(getattr(usual, section), name)
                parts.append(f"{section}.{name} {value:g} ({normal:g})")
    lines += [f"  {', '.join(parts[i : i + 3])}" for i in range(0, len(parts), 3)]
    lines.append("remedies act by themselves here (autonomy auto); an attached database: observe")
    return lines


def config_text(windows: Mapping[str, Section], place: ClonePlace) -> str:
    """Return the demo's configuration file."""
    lines = ["# Written by `homeostat demo` at each start: shortened windows, a place for clones."]
    for section, values in {**windows, "clone": place.section}.items():
        lines.append(f"\n[{section}]")
        lines += [
            f"{name} = {msgspec.json.encode(value).decode()}" for name, value in values.items()
        ]
    return "\n".join(lines) + "\n"
