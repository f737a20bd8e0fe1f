"""Checks: how many planted problems are found and mended, false findings, time and load.

    uv run python -m bench.check [--quick] [--json]

PostgreSQL: problems are planted in a database, a server, its sessions and its ids of transactions,
found, and mended by their own SQL; those of a database on a clone of it. Databases with nothing
wrong are looked at. Then one of 5,000 tables (--quick: 500) is looked at against the goal of 60 s
and 3 % of a core over a minute.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from bench.harness import Figure, Options, main, progress
from homeostat.check.budget import WINDOW_SECONDS
from homeostat.check.report import Report
from tests.check import clean, cloning, planted, planting
from tests.check.planted import Planted
from tests.servers import PostgresServer, running_server

TABLES = 5000
TABLES_QUICK = 500
SECONDS_GOAL = 60.0
LOAD_GOAL = 0.03


class Score:
    """Which problems were found, and which were gone after their mend."""

    def __init__(self) -> None:
        self.planted: list[str] = []
        self.missed: list[str] = []
        self.left: list[str] = []

    def before(self, problems: Sequence[Planted], report: Report) -> None:
        """Note what a check of planted problems found."""
        self.planted += [one.name for one in problems]
        self.missed += [one.name for one in problems if planting.finds(report, one) is None]

    def after(self, problems: Sequence[Planted], report: Report) -> None:
        """Note what was still found after the mends."""
        self.left += [one.name for one in problems if planting.finds(report, one) is not None]


def figures(options: Options) -> Iterator[Figure]:
    """Yield the figures of PostgreSQL."""
    score = Score()
    with planting.server_to_spoil() as server:
        version = _version(server)
        progress("problems in a database")
        _database(server, score)
        progress("problems in sessions and in the server")
        _sessions(server, score)
        _server(server, score)
    progress("transaction ids near their end")
    _ids(score)
    count = len(score.planted)
    yield Figure(
        "check.found", 1 - len(score.missed) / count, "share", engine=version,
        parameters={"planted": count, "missed": score.missed},
    )  # fmt: skip
    yield Figure(
        "check.mended", 1 - len(score.left) / count, "share", engine=version,
        parameters={"planted": count, "left": score.left},
    )  # fmt: skip
    with clean.careful_server() as server:
        yield from _clean(server, version)
        yield from _many(server, version, TABLES_QUICK if options.quick else TABLES)


def _version(server: PostgresServer) -> str:
    return f"postgresql {server.execute('SHOW server_version')[0][0]}".partition(" (")[0]


def _database(server: PostgresServer, score: Score) -> None:
    name, problems = server.create_database(), planted.IN_A_DATABASE
    planting.spoil_database(server, name, problems)
    score.before(problems, planting.look_at(server, name, problems))
    with cloning.clone_of(server, name) as clone:
        cloning.carried(server, clone, problems)
        outcome = cloning.mended(server, clone, problems)
    score.left += [*outcome.missed, *outcome.left, *outcome.new]


def _sessions(server: PostgresServer, score: Score) -> None:
    name, problems = server.create_database(), planted.IN_SESSIONS
    look = partial(planting.looked, server.url(name), monitor=planting.IMPATIENT)
    with planting.sessions_in_trouble(server, name):
        report = look()
        score.before(problems, report)
        rules = {one.rule for one in problems}
        for one in report.findings:
            if one.rule in rules:
                planting.mend(one, partial(server.execute, database=name))
        planting.wait_for_rest(server, name)
        score.after(problems, look())


def _server(server: PostgresServer, score: Score) -> None:
    problems = [*planted.IN_A_SERVER, planted.IN_FILES]
    planting.spoil(server)
    report = planting.looked(server.url())
    score.before(problems, report)
    planting.restore(server, report)
    score.after(problems, planting.looked(server.url()))


def _ids(score: Score) -> None:
    with running_server(settings={"autovacuum_naptime": "86400"}) as server:
        server.stop()
        planting.age(server)
        server.start()
        report = planting.looked(server.url())
        score.before(planted.IN_THE_IDS, report)
        planting.freeze(server, report)
        score.after(planted.IN_THE_IDS, planting.looked(server.url()))


def _clean(server: PostgresServer, version: str) -> Iterator[Figure]:
    found = {}
    for kind, fill in clean.CLEAN.items():
        progress(f"a clean database: {kind}")
        name = server.create_database()
        fill(server, name)
        found[kind] = [one.what for one in planting.looked(server.url(name)).findings]
    yield Figure(
        "check.false_findings", sum(map(len, found.values())), "findings", engine=version,
        parameters={"databases": len(found), "found": {k: v for k, v in found.items() if v}},
    )  # fmt: skip


def _many(server: PostgresServer, version: str, count: int) -> Iterator[Figure]:
    progress(f"a database of {count} tables")
    name = server.create_database()
    clean.fill_with_tables(server, name, count)
    report = planting.looked(server.url(name), watch=5)
    seen = report.database
    yield Figure(
        "check.seconds", seen.seconds, "s", peer=f"goal: {SECONDS_GOAL:g} s",
        ratio=seen.seconds / SECONDS_GOAL, engine=version,
        parameters={"tables": count, "not_seen": len(report.unseen)},
    )  # fmt: skip
    share = seen.busy_seconds / WINDOW_SECONDS
    yield Figure(
        "check.load", share, "share", peer=f"goal: {LOAD_GOAL:g} of a core over a minute",
        ratio=share / LOAD_GOAL, engine=version,
        parameters={"tables": count, "statements_s": seen.busy_seconds},
    )  # fmt: skip


if __name__ == "__main__":
    main(figures, about=__doc__)
