"""Two probes: what statements cost and why, now and then; and, while one is slow, at every tick.

They ask the server's own statistics, estimated plans, the catalogue and bounded counts. They run no
statement of the application's and change nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from homeostat.config import Config
from homeostat.engine.candidates import PREFIX
from homeostat.engine.engine import Unsupported
from homeostat.engine.facets import Plan
from homeostat.engine.plan import walk
from homeostat.errors import StatementError
from homeostat.measure import Bad, Kind, MetricSpec, Sample, Subject, Unknown
from homeostat.operate.probe import Watched
from homeostat.operate.statements import AGENTS, StatementView
from homeostat.tune.counting import Counted
from homeostat.tune.facts import Catalogue, estimate, facts_of, read_catalogue, rows_read
from homeostat.tune.slow import LOOKS_MIN, slow_now

FACTS_SECONDS = 600.0  # facts are found out anew after so long, or when the plan changed
# tables that lack an index for a foreign key are counted anew after so long: their size is enough
CHILDREN_SECONDS = 3600.0
SHOWN_MAX = 20
SERIES_MAX = 3 * SHOWN_MAX  # which are the costliest changes with time
DAY = 86_400.0  # statements that a new version of an application left behind make room

ROWS_READ = "statement.rows_read"
METRICS: tuple[MetricSpec, ...] = (
    MetricSpec("statements.slow", "count", Kind.GAUGE, Bad.UP, "Statements that cost too much."),
    MetricSpec(
        "statements.seconds",
        "s",
        Kind.COUNTER,
        Bad.NONE,
        "Time of which somebody told what statements cost, an agent or the server.",
    ),
    MetricSpec(
        "statement.mean_ms",
        "ms",
        Kind.GAUGE,
        Bad.UP,
        "Mean time of a statement over `tune.window_seconds`: of the costliest ones.",
        max_series=SERIES_MAX,
        unseen_seconds=DAY,
    ),
    MetricSpec(
        "statement.cost",
        "ms/s",
        Kind.GAUGE,
        Bad.UP,
        "Time spent in a statement, ms per second of wall time: of the costliest ones.",
        max_series=SERIES_MAX,
        unseen_seconds=DAY,
    ),
    *(
        MetricSpec(
            f"statement.{name}",
            unit,
            Kind.COUNTER,
            Bad.NONE,
            text,
            max_series=SERIES_MAX,
            unseen_seconds=DAY,
        )
        for name, unit, text in (
            ("calls", "count", "Calls of one of the costliest statements."),
            ("total_ms", "ms", "Time spent in one of the costliest statements."),
            ("rows", "count", "Rows that one of the costliest statements returned or changed."),
            ("pages", "count", "Pages that one of the costliest statements read, where told."),
            ("late", "count", "Calls of one of the costliest statements past the promise."),
        )
    ),
    MetricSpec(
        "index.uses",
        "1/s",
        Kind.GAUGE,
        Bad.NONE,
        "Uses of an index that Homeostat built: scans (PostgreSQL), or calls of statements whose "
        "plan names it (SQLite).",
    ),
    MetricSpec(
        ROWS_READ,
        "count",
        Kind.GAUGE,
        Bad.UP,
        "Rows that a call of a slow or just mended statement reads: counted in the tables by what "
        "its plan looks up, anew when the plan changes.",
        max_series=SERIES_MAX,
        unseen_seconds=DAY,
    ),
)


@dataclass(frozen=True, slots=True)
class StatementProbe:
    """Reads what statements cost, and finds out about the slow ones."""

    config: Config
    name: str = "statements"
    help: str = "What statements cost; plan, tables and candidates of the slow ones."

    @property
    def interval_seconds(self) -> float:
        """Return `tune.queries_seconds`."""
        return self.config.tune.queries_seconds

    def read(self, watched: Watched) -> Iterable[Sample]:
        """Read; facts go into the statement book, costs are yielded."""
        book, at = watched.statements, watched.at
        read_server(watched)
        slow = slow_now(book, self.config, at)
        if slow:
            book.follow([one.key for one in slow], at)
        window = self.config.tune.window_seconds
        costly = book.views(start=at - window, end=at)
        database = Subject(watched.identity.key)
        yield Sample(database, "statements.slow", at, float(len(slow)))
        for one in costly[:SHOWN_MAX]:
            subject = Subject(watched.identity.key, kind="statement", name=one.key)
            texts = {"name": one.name}
            yield Sample(subject, "statement.mean_ms", at, one.mean_ms, texts)
            yield Sample(subject, "statement.cost", at, one.cost, texts)
        yield from _spent(watched)
        self._find_out(watched, slow, costly)
        book.note_looks(one.key for one in slow)

    def _find_out(
        self, watched: Watched, slow: list[StatementView], costly: list[StatementView]
    ) -> None:
        """Note the plans of the costliest statements, and the facts of slow ones."""
        most = self.config.tune.explained_max
        keys = {one.key for one in slow[:most]}
        catalogue: Catalogue | None = None
        for one in [*slow[:most], *(one for one in costly[:most] if one.key not in keys)]:
            plan = estimate(watched.engine, one)
            if plan is None:
                continue
            watched.statements.note_plan(one.key, plan, watched.at)
            if one.key not in keys or not self._due(watched, one, plan):
                continue
            catalogue = catalogue or read_catalogue(watched.engine)
            if catalogue is not None:
                catalogue.children = _children(watched)
                facts = facts_of(watched.engine, one, plan, catalogue, self.config.tune)
                watched.statements.note_facts(one.key, facts)

    def _due(self, watched: Watched, one: StatementView, plan: Plan) -> bool:
        """Return whether facts are old, of another plan, or lack what another look may tell."""
        known = watched.memory.setdefault("facts", {})
        shape, at = known.get(one.key, ("", 0.0))
        enough = bool(one.facts) and (not one.facts["uncounted"] or one.looks >= LOOKS_MIN)
        if enough and shape == plan.shape and watched.at - at < FACTS_SECONDS:
            return False
        known[one.key] = (plan.shape, watched.at)
        return True


@dataclass(frozen=True, slots=True)
class FollowProbe:
    """While a statement is slow, or was just mended: its cost and the use of our indexes."""

    config: Config
    name: str = "followed-statements"
    help: str = "The server's statement statistics and the use of built indexes, when one is slow."

    @property
    def interval_seconds(self) -> float:
        """Return `monitor.performance_seconds`."""
        return self.config.monitor.performance_seconds

    def read(self, watched: Watched) -> Iterable[Sample]:
        """Read, if somebody follows a statement; else ask nothing."""
        if not watched.statements.followed(watched.at):
            watched.memory.clear()
            return
        read_server(watched)
        plans = self._plans(watched)
        yield from self._read(watched, plans)
        if watched.identity.dialect == "postgresql":
            yield from self._scans(watched)
        else:
            yield from self._planned(watched, plans)

    def _plans(self, watched: Watched) -> list[tuple[StatementView, Plan]]:
        """Return the costliest statements that run now with their plans, and note these.

        With them those that were slow: one that was mended is not costly any more.
        """
        start = watched.at - 3 * self.interval_seconds
        running = watched.statements.views(start=start, end=watched.at)
        followed = watched.statements.followed(watched.at)
        most = 2 * self.config.tune.explained_max
        chosen = [*running[:most], *(one for one in running[most:] if one.key in followed)]
        found = []
        for one in chosen:
            plan = estimate(watched.engine, one)
            if plan is not None:
                watched.statements.note_plan(one.key, plan, watched.at)
                found.append((one, plan))
        return found

    def _read(self, watched: Watched, plans: list[tuple[StatementView, Plan]]) -> Iterable[Sample]:
        """Yield how many rows the plans of followed statements read a call; counts new plans."""
        known: dict[str, tuple[str, float | None]] = watched.memory.setdefault("read", {})
        followed = watched.statements.followed(watched.at)
        for one, plan in plans:
            if one.key not in followed:
                continue
            shape, rows = known.get(one.key, ("", None))
            if shape != plan.shape:
                catalogue = read_catalogue(watched.engine)
                if catalogue is not None:
                    rows = rows_read(watched.engine, one, plan, catalogue, self.config.tune)
                known[one.key] = (plan.shape, rows)
            value = Unknown("its plan does not tell what it reads") if rows is None else rows
            subject = Subject(watched.identity.key, kind="statement", name=one.key)
            yield Sample(subject, ROWS_READ, watched.at, value)

    def _scans(self, watched: Watched) -> Iterable[Sample]:
        """Yield how often the server scanned each index of ours, per second."""
        rows = watched.engine.execute(
            # the parts' scans are those of the whole, also of parts that came later
            "SELECT coalesce(w.relname, s.indexrelname) AS name, sum(s.idx_scan)::float8 "
            "FROM pg_stat_user_indexes s "
            "LEFT JOIN pg_class w ON w.oid = pg_partition_root(s.indexrelid) "
            "WHERE coalesce(w.relname, s.indexrelname) LIKE :mine GROUP BY 1 ORDER BY 1",
            {"mine": PREFIX.replace("_", r"\_") + "%"},
        ).rows
        before: dict[str, tuple[float, float]] = watched.memory.setdefault("scans", {})
        for name, count in rows:
            index, scans = str(name), float(str(count or 0))
            known = before.get(index)
            before[index] = (watched.at, scans)
            subject = Subject(watched.identity.key, kind="index", name=index)
            uses: float | Unknown = Unknown("needs two readings; this is the first")
            if known is not None and watched.at > known[0]:
                uses = max(0.0, scans - known[1]) / (watched.at - known[0])
            yield Sample(subject, "index.uses", watched.at, uses)

    def _planned(
        self, watched: Watched, plans: list[tuple[StatementView, Plan]]
    ) -> Iterable[Sample]:
        """Yield the calls per second of statements whose plan names an index of ours."""
        rows = watched.engine.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'index' AND name LIKE :mine "
            "ESCAPE '\\' ORDER BY 1",
            {"mine": PREFIX.replace("_", r"\_") + "%"},
        ).rows
        uses = {str(row[0]): 0.0 for row in rows}
        for one, plan in plans:
            named = {node.index for _, node in walk(plan.root)}
            for index in named & uses.keys():
                uses[str(index)] += one.spent.calls / one.seconds
        for index, value in uses.items():
            subject = Subject(watched.identity.key, kind="index", name=index)
            yield Sample(subject, "index.uses", watched.at, value)


def _children(watched: Watched) -> dict[str, Counted | None]:
    """Return what was counted of tables that are searched for foreign keys, to be added to."""
    since, known = watched.memory.get("children", (-math.inf, {}))
    if watched.at - since >= CHILDREN_SECONDS:
        since, known = watched.at, {}
        watched.memory["children"] = (since, known)
    found: dict[str, Counted | None] = known
    return found


def _spent(watched: Watched) -> Iterable[Sample]:
    """Yield what the costliest statements did since the last tick, to be added up over any time."""
    book, at = watched.statements, watched.at
    since = watched.memory.get("spent_until", 0.0)
    watched.memory["spent_until"] = at
    if book.known_since is not None:
        known = max(0.0, at - max(since, book.known_since))
        yield Sample(Subject(watched.identity.key), "statements.seconds", at, known)
    for one in book.views(start=since, end=at)[:SHOWN_MAX]:
        subject = Subject(watched.identity.key, kind="statement", name=one.key)
        spent = one.spent
        texts = {"name": one.name, "text": one.text}
        yield Sample(subject, "statement.calls", at, spent.calls, texts)
        yield Sample(subject, "statement.total_ms", at, spent.total_ms)
        yield Sample(subject, "statement.rows", at, spent.rows)
        if spent.blocks_hit is not None and spent.blocks_read is not None:
            yield Sample(subject, "statement.pages", at, spent.blocks_hit + spent.blocks_read)
        if one.source == AGENTS:
            yield Sample(subject, "statement.late", at, spent.late)


def read_server(watched: Watched) -> None:
    """Give the server's statement statistics to the book, where there are any.

    Raises:
        DatabaseError: the server cannot be asked.
    """
    workload = watched.engine.workload
    if isinstance(workload, Unsupported):
        return
    try:
        statements = workload.statements()
    except StatementError:  # the extension or the right went away: agents still tell
        return
    watched.statements.take_server(statements, watched.at)
