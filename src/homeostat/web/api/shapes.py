"""What routes take: parameters of the query and the path, bodies, and answers of the API's own.

A shape refuses what it does not know, so a mistyped parameter is an error and never ignored.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from homeostat.config import Autonomy
from homeostat.errors import InvalidRequestError
from homeostat.operate.views import Role
from homeostat.web.auth import PERSON
from homeostat.web.tokens import NAME

LIST_MAX = 1000
POINTS_MAX = 2000
TEXT_MAX = 1000  # characters of a name, key or label
WHOLE_MAX = 2**63 - 1  # the largest number that the logbook gives
AT_MAX = 1e11  # the year 5138
DAYS_MAX = 3660
HOURS_MAX = 8784

YEAR_SECONDS = 366 * 86_400.0
RANGE_SECONDS = 3600.0  # how far back a range goes unless `start` is given

Order = Literal["total", "mean", "p99", "calls", "rows", "pages", "grown"]
Decision = Literal["approve", "reject", "revert"]
DECISIONS: tuple[str, ...] = get_args(Decision)
PersonRole = Literal["viewer", "operator", "admin"]

Name = Annotated[str, Meta(pattern=f"^{NAME.pattern}$", description="Of a person or program.")]
Text = Annotated[str, Meta(max_length=TEXT_MAX)]
Key = Annotated[str, Meta(max_length=TEXT_MAX, description="The key of a database.")]
Moment = Annotated[float, Meta(ge=0, le=AT_MAX, description="Seconds since 1970 UTC.")]
Limit = Annotated[
    int, Meta(ge=1, le=LIST_MAX, description="At most so many, counted from the newest.")
]
Number = Annotated[int, Meta(ge=1, le=WHOLE_MAX)]


def autonomies() -> tuple[str, ...]:
    """Return the levels of autonomy, the most careful first."""
    return get_args(Autonomy)


def range_of(start: float | None, end: float | None, *, now: float) -> tuple[float, float]:
    """Return start and end of a range, the last hour unless they are given.

    Raises:
        InvalidRequestError: it ends before it starts.
    """
    until = now if end is None else end
    since = until - RANGE_SECONDS if start is None else start
    if since >= until:
        raise InvalidRequestError("`start` must be before `end`.")
    return since, until


class Given(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that comes from outside."""


# -- parameters of the query


class NoQuery(Given, frozen=True):
    """No parameters."""


class OneDatabase(Given, frozen=True):
    """One database or, without it, all."""

    database: Key | None = None


class TheDatabase(Given, frozen=True):
    """A database that has to be named."""

    database: Key


class WhichFindings(Given, frozen=True):
    """Which findings."""

    database: Key | None = None
    all: Annotated[bool, Meta(description="Cleared ones too.")] = False


class WhichRemedies(Given, frozen=True):
    """Which remedies."""

    database: Key | None = None
    limit: Limit = 100


class WhichEntries(Given, frozen=True):
    """Which entries of the audit log."""

    limit: Limit = 100


class WhichGroups(Given, frozen=True):
    """Which databases of the fleet."""

    label: Annotated[
        str, Meta(max_length=TEXT_MAX, description="`key=value`: only those that carry it.")
    ] = ""
    group: Annotated[str, Meta(max_length=TEXT_MAX, description="Only those of this group.")] = ""
    state: Annotated[
        Literal["", "waiting", "unreachable", "trouble", "paused", "ok"],
        Meta(description="Only those in this state; `waiting`: for a decision of a person."),
    ] = ""
    words: Annotated[
        str,
        Meta(max_length=TEXT_MAX, description="All of them in name, address, group or labels."),
    ] = ""


class WhichSeries(Given, frozen=True):
    """A metric of a subject over time; usually the last hour of the database itself."""

    database: Key
    metric: Text
    subject: Annotated[str, Meta(max_length=TEXT_MAX, description="As in a tick.")] = "database"
    start: Moment | None = None
    end: Moment | None = None
    points: Annotated[int, Meta(ge=1, le=POINTS_MAX, description="At most so many.")] = 300


class WhichCharts(Given, frozen=True):
    """A range, usually the last hour, and how far before it lies what it is compared with."""

    database: Key
    start: Moment | None = None
    end: Moment | None = None
    shift: Annotated[
        float, Meta(ge=0, le=AT_MAX, description="Seconds; 0: nothing is compared.")
    ] = 0.0
    points: Annotated[int, Meta(ge=1, le=POINTS_MAX, description="At most so many.")] = 240
    only: Annotated[
        str, Meta(max_length=TEXT_MAX, description="The name of one chart; without it all.")
    ] = ""


class WhichStatements(Given, frozen=True):
    """Which statements."""

    database: Key
    seconds: Annotated[float, Meta(gt=0, le=YEAR_SECONDS, description="So far back from now.")] = (
        600.0
    )
    order: Annotated[Order, Meta(description="The most of it comes first.")] = "total"
    shift: Annotated[
        float,
        Meta(ge=0, le=YEAR_SECONDS, description="Compared with so much earlier; 0: with nothing."),
    ] = 0.0
    limit: Annotated[int, Meta(ge=1, le=LIST_MAX, description="At most so many.")] = 50


class Period(Given, frozen=True):
    """A database and a period, usually the last hour."""

    database: Key
    start: Moment | None = None
    end: Moment | None = None


class TrailPage(Given, frozen=True):
    """Which page of the audit log: of a database also what concerns none."""

    database: Key | None = None
    before: (
        Annotated[int, Meta(ge=0, le=WHOLE_MAX, description="Those with a smaller number.")] | None
    ) = None
    limit: Limit = 100


class Asked(Given, frozen=True):
    """Words to look for, in one database or in all."""

    words: Annotated[str, Meta(max_length=TEXT_MAX, description="All of them must be there.")]
    database: Key | None = None
    limit: Annotated[int, Meta(ge=1, le=LIST_MAX, description="At most so many.")] = 50


class WhichEvents(Given, frozen=True):
    """Which events; the header Last-Event-ID wins over `after`."""

    database: Key | None = None
    after: (
        Annotated[
            int,
            Meta(ge=0, le=WHOLE_MAX, description="Those past this number; 0: from the first on."),
        ]
        | None
    ) = None


# -- parameters of the path


class OneNumber(Given, frozen=True):
    """The number of something in the logbook."""

    id: Number


class OneDecision(Given, frozen=True):
    """A decision on a remedy."""

    id: Number
    decision: Decision


class OneName(Given, frozen=True):
    """The name of something."""

    name: Text


# -- bodies


class Target(Given, frozen=True):
    """A database, or null or nothing for all."""

    database: Key | None = None


class Detach(Given, frozen=True):
    """The database to let go."""

    database: Key


class NewLink(Given, frozen=True):
    """For whom a sign-in link is."""

    name: Name = PERSON
    role: PersonRole = "admin"


class NewToken(Given, frozen=True):
    """For whom a token is; without `days` it never ends."""

    name: Name
    role: Role
    days: Annotated[float, Meta(gt=0, le=DAYS_MAX)] | None = None


class NewClone(Given, frozen=True):
    """What to copy, and for how long; without `database` the only one."""

    database: Key | None = None
    hours: Annotated[float, Meta(gt=0, le=HOURS_MAX)] | None = None


class NewAutonomy(Given, frozen=True):
    """What a remedy may do by itself."""

    remedy: Text
    autonomy: Autonomy


# -- answers


class LinkView(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in link that works once."""

    url: str


class Alive(msgspec.Struct, frozen=True, kw_only=True):
    """The process answers."""

    alive: bool


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the logbook can be used and a database is observed; else why not."""

    ready: bool
    reason: str


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Any error: what to tell a person, and the class in docs/reference/errors.md."""

    error: str
    kind: str


Document = dict[str, Any]
