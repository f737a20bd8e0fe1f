"""The loop and what it stands on: autonomy, samples, agents, the page, databases."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from homeostat.config.section import Autonomy, Count, Seconds, Section, Share, about


class OperateConfig(Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The loop: autonomy, leases, verification."""

    autonomy: Annotated[Autonomy, about("What remedies may do unless named below.")] = "observe"
    remedies: Annotated[dict[str, Autonomy], about("Autonomy by remedy key.")] = {}
    lease_seconds: Annotated[
        Seconds, about("Ownership not renewed for so long may be taken over.")
    ] = 15.0
    verify_batches: Annotated[Count, about("Batches measured on each side of a change.")] = 6
    batch_seconds: Annotated[
        Seconds, about("Length of one batch; at least a performance tick.")
    ] = 10.0
    settle_seconds: Annotated[Seconds, about("Left out after a change before measuring.")] = 10.0
    load_drift_share: Annotated[
        Share,
        about("Change of the offered load between the two sides past which nothing can be told."),
    ] = 0.3
    cooldown_seconds: Annotated[Seconds, about("Rest of a resource after a remedy ended.")] = 300.0
    distrust_seconds: Annotated[
        Seconds,
        about("A remedy that did not help is not proposed again on like evidence for so long."),
    ] = 86_400.0
    retries_max: Annotated[
        int, Meta(ge=0), about("Automatic retries of a failed step (VISION: 3).")
    ] = 3
    escalation_seconds: Annotated[
        Seconds, about("A failure unresolved for so long goes to a person.")
    ] = 300.0
    budget_per_hour: Annotated[
        Count, about("Remedies applied automatically per database and hour.")
    ] = 12
    preview_bytes_max: Annotated[
        int,
        Meta(ge=0),
        about(
            "What is only observed, or waits for a person, is tried on a copy of a database up to "
            "this size, to tell what it would bring (1 GB; 0: never). PostgreSQL is copied only "
            "to the server that `[clone] url` names."
        ),
    ] = 1_000_000_000
    preview_seconds_max: Annotated[
        Seconds,
        about("Such a copy is given up after so long, for changes of tables wait for it (2 min)."),
    ] = 120.0


class SamplesConfig(Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long samples are kept."""

    fine_seconds: Annotated[Seconds, about("Resolution of the finest samples.")] = 10.0
    fine_days: Annotated[float, about("Days that the finest samples are kept.")] = 2.0
    minute_days: Annotated[float, about("Days that one-minute samples are kept.")] = 14.0
    hour_days: Annotated[float, about("Days that one-hour samples are kept.")] = 400.0
    histogram_series_max: Annotated[Count, about("Series that may hold histograms.")] = 40


class AgentConfig(Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The channel to agents inside applications."""

    report_seconds: Annotated[Seconds, about("How often agents report.")] = 2.0
    expires_seconds: Annotated[Seconds, about("Settings hold for so long without a word.")] = 60.0
    agents_max: Annotated[Count, about("Agents that may be registered at once.")] = 256


class WebConfig(Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The page and the API; always on 127.0.0.1."""

    port: Annotated[int, Meta(ge=0, le=65535), about("0: a free one, kept for the next start.")] = 0
    session_hours: Annotated[float, Meta(gt=0), about("How long a sign-in lasts.")] = 168.0
    link_seconds: Annotated[Seconds, about("How long a sign-in link is good.")] = 600.0
    streams_max: Annotated[Count, about("Open event streams.")] = 32
    streams_per_visitor_max: Annotated[
        Count, about("Open event streams of one token or sign-in.")
    ] = 12


class DatabaseConfig(Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A database that `homeostat up` attaches when it is given no URL; NAME is what people call it.

    `password` and `key` are references: `env:NAME`, `file:PATH`, `command:PROGRAM ...`, or for a
    password `pgpass`.
    """

    url: Annotated[str, about("A path, `sqlite:///path` or `postgresql://...`, no password in it.")]
    group: Annotated[str, about("The heading under which the fleet page shows it.")] = ""
    labels: Annotated[dict[str, str], about("Whatever helps to find it: team, region, stage.")] = {}
    autonomy: Annotated[
        Autonomy | None,
        about("What remedies may do here, at most; without it as `[operate]` says."),
    ] = None
    password: Annotated[str, about("Where the password is, as a reference to a secret.")] = ""
    key: Annotated[
        str,
        about(
            "SQLite: where the key of an encrypted file is, as a reference to a secret (never the "
            "key itself); empty: the file is not encrypted."
        ),
    ] = ""
    pooler: Annotated[
        str,
        about(
            "PostgreSQL behind PgBouncer: the URL of its console, such as "
            "`postgresql://stats@host:6432/pgbouncer`, to watch its pools; empty: there is none."
        ),
    ] = ""
    pooler_password: Annotated[str, about("The console's password, as a reference.")] = ""
    pooler_ini: Annotated[
        str,
        about(
            "PgBouncer's file on this machine, to size its pools too; the console's user has to "
            "be one of `admin_users`, and the file Homeostat's to write. Empty: only watched."
        ),
    ] = ""
    pooler_database: Annotated[
        str, about("What PgBouncer calls the database; empty: as the server does.")
    ] = ""
