"""Why a statement is slow, from evidence alone; pure.

Each cause needs its own evidence, and the first that has it is named, in an order in which the
more specific comes before what it would also explain. Where none has, the cause is unknown: wrong
is worse than unknown.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field

from homeostat.config import TuneConfig
from homeostat.engine.facets import TableInfo
from homeostat.engine.reads import place_of
from homeostat.logbook.rows import Json
from homeostat.measure import Subject
from homeostat.operate.rule import View
from homeostat.operate.statements import Repeated, StatementView
from homeostat.operate.views import COUNTED_MAX

MISSING_INDEX = "missing index"
STALE_STATISTICS = "stale statistics"
LOCK_WAIT = "lock wait"
PLAN_CHANGE = "plan change"
IO = "I/O"
MANY_ROWS = "too many rows"
N_PLUS_ONE = "N+1"
UNKNOWN = "unknown"
SCAN_SHARE_MIN = 0.03  # of the mean time: a scan that takes less is not what makes it slow
ROW_MS_MAX = 0.2  # a row that takes longer to return is dear by itself; most take 1 to 30 us
# a search for a foreign key takes about as long as a count; what takes many times as long is slow
# by something else
KEY_SHARE_MIN = 0.05
CHANGED_MIN = 0.2  # rows of a call: where nothing is changed nothing is searched
# of them in the window: one or two, after what is read once at the start say, may be chance, and
# nothing tells a batch job, which runs seldom, from these
RUNS_MIN = 3
REPEATED_SHARE_MIN = 0.8  # of its calls: chance alone makes some look as if they followed rows
MEASURED_MIN = 5  # calls, as tune.calls_min
PAGE_BYTES = 4096.0  # of the file, and the least that Linux reads of one
PAGES_MIN = 32  # of a call, from the disk: the least that can be felt, 3 ms of a common SSD
SLEEPS_MAX = 2.0  # for each page: who sleeps more often waits for something else besides
OTHERS_SHARE_MAX = 0.5  # of its time in which another thread ran, maybe with Python's lock
# in the mean: a running thread keeps that lock for 5 ms (sys.getswitchinterval), an SSD takes 0.1
LOCK_SLEEP_SECONDS = 0.001
MOMENTS_MIN = 3  # moments at which it was seen running before locks are judged


@dataclass(frozen=True, slots=True)
class Cause:
    """A cause with its reason in words, what mends it, and more evidence."""

    kind: str
    text: str = ""
    mend: str = "Look at its plan: `homeostat explain` draws it."
    evidence: Json = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """Return `kind: text`, or `unknown`."""
        return f"{self.kind}: {self.text}" if self.text else self.kind


def cause_of(one: StatementView, view: View) -> Cause:
    """Return the cause that the evidence names."""
    config = view.config.tune
    return (
        lock_wait(one, view)
        or n_plus_one(one, config, below_ms=config.slow_query_ms)
        or missing_index(one, config, fresh=True)
        or stale_statistics(one, config)
        or plan_change(one, view)
        or missing_index(one, config, fresh=False)
        or unindexed_key(one, config)
        or many_rows(one, config)
        or whole_table(one, config)
        or reading(one, config)
        or waiting_for_disk(one, config)
        or n_plus_one(one, config, below_ms=math.inf)
        or Cause(UNKNOWN)
    )


def lock_wait(one: StatementView, view: View) -> Cause | None:
    """Name lock waits: of the moments it was seen running, or (SQLite) of the writers' time."""
    limit = view.config.monitor.lock_wait_share
    share = one.waited_share
    if share is None and one.write and view.identity.dialect == "sqlite":
        share = _writers_share(one, view)
    if share is None or share < limit:
        return None
    text = f"{share:.0%} of its time it waits for a lock"
    mend = "End or shorten what holds the lock; the lock-holder finding names it."
    return Cause(LOCK_WAIT, text, mend, {"lock_share": round(share, 3)})


def _writers_share(one: StatementView, view: View) -> float | None:
    """Return the lock share of the pools of those who run it (SQLite: only writers wait)."""
    ticks = max(3, int(one.seconds / view.config.monitor.performance_seconds))
    names = {f"agent:{a.name}" for a in view.agents if a.application in one.applications}
    found: list[float] = []
    for subject in view.recent.subjects("pool.lock_share"):
        if subject.instance in names:
            found += view.recent.values("pool.lock_share", subject, ticks=ticks)
    return statistics.mean(found) if len(found) >= MOMENTS_MIN else None


def n_plus_one(one: StatementView, config: TuneConfig, *, below_ms: float) -> Cause | None:
    """Name the same statement over and over in one transaction, or for each row of another."""
    if one.mean_ms >= below_ms:
        return None
    mend = "Ask once for all keys (IN, or a join) instead of once for each."
    name, times = max(one.per_transaction.items(), key=lambda item: item[1], default=("", 0.0))
    if times >= config.calls_per_transaction:
        text = f"{times:,.0f} times in each {name}"
        return Cause(N_PLUS_ONE, text, mend, {"transaction": name, "times": round(times, 1)})
    found = repeated(one, config)
    if found is None:
        return None
    text = f"{found.times:,.0f} times after each {found.after}, about once for each of its rows"
    evidence: Json = {"after": found.after, "times": round(found.times, 1)}
    return Cause(N_PLUS_ONE, text, mend, {**evidence, "share": round(found.share, 3)})


def repeated(one: StatementView, config: TuneConfig) -> Repeated | None:
    """Return what a statement is run after, once for each row, if nearly all its calls are such."""
    for found in one.repeated:
        if (
            found.runs >= RUNS_MIN
            and found.share >= REPEATED_SHARE_MIN
            and found.times >= config.calls_per_transaction
        ):
            return found
    return None


def missing_index(one: StatementView, config: TuneConfig, *, fresh: bool) -> Cause | None:
    """Name an index that is not there: many rows read for each row needed, and one to serve it.

    `fresh`: only where no index begins with one of its columns. Where one does and is not used, the
    statistics or a change of the plan may be what is wrong, so these are asked first.
    """
    best: tuple[tuple[bool, float, bool], Json] | None = None
    for candidate in one.facts.get("candidates", ()):
        if fresh and not candidate["fresh"]:
            continue
        ratio = _read_per_needed(one, candidate)
        if ratio is None or candidate["read"] < config.rows_read_min:
            continue
        if not _explains(one, candidate):
            continue
        alone = not candidate.get("beside")  # what helps by itself comes before what needs others
        rank = (alone, ratio, bool(candidate["where"]))  # of two alike, fewer rows are cheaper
        if ratio >= config.rows_read_per_row and (best is None or rank > best[0]):
            best = (rank, candidate)
    if best is None:
        return None
    (_, ratio, _), candidate = best
    table, columns = _called(candidate), ", ".join(candidate["columns"])
    where = f" where {candidate['where']}" if candidate["where"] else ""
    again = " again and again" if candidate["again"] and not candidate["by_value"] else ""
    text = (
        f"it reads {_number(candidate['read'])} rows of {table}{again}, {ratio:,.0f} for "
        f"each that it needs; none is found by {columns}{where}"
    )
    mend = f"An index on {table} ({columns}){where}; remedy create-index proves it first."
    beside = [name for name in candidate.get("beside", ()) if name not in candidate["columns"]]
    if beside:
        others = ", and one by ".join(beside)
        text += f", nor by {', nor by '.join(beside)}, and its OR needs each"
        mend = (
            f"An index on {table} ({columns}){where}, and one by {others}: with one "
            "alone it still reads everything. Build them all, or ask with UNION."
        )
    return Cause(MISSING_INDEX, text, mend, {"best": candidate["name"], "beside": beside})


def unindexed_key(one: StatementView, config: TuneConfig) -> Cause | None:
    """Name the table that is read from end to end for each row deleted, for want of an index."""
    changed = one.spent.rows / max(1.0, one.spent.calls)
    found: list[tuple[float, Json]] = []
    for child in one.facts.get("children", ()):
        searched_ms = changed * (child["scan_ms"] or 0.0)
        if child["rows"] >= config.rows_read_min and searched_ms >= KEY_SHARE_MIN * one.mean_ms:
            found.append((searched_ms, child))
    if not found or changed < CHANGED_MIN:
        return None
    child = max(found, key=lambda item: item[0])[1]
    table, columns = _called(child), ", ".join(child["columns"])
    text = (
        f"for each row that it changes, {_number(child['rows'])} rows of {table} are read to "
        f"find those that refer to it; none is found by {columns}"
    )
    mend = (
        f"Build an index on {table} ({columns}), which its foreign key needs. It is not "
        "built by itself: no plan shows that search, so nothing could prove the index."
    )
    return Cause(MISSING_INDEX, text, mend, {"child": child})


def whole_table(one: StatementView, config: TuneConfig) -> Cause | None:
    """Name the size of a table that is summed up: it reads every row, and has to."""
    summed = one.facts.get("summed")
    if not summed or summed["rows"] < config.rows_returned:
        return None
    if summed["scan_ms"] is None or summed["scan_ms"] < SCAN_SHARE_MIN * one.mean_ms:
        return None
    rows = _number(summed["rows"])
    text = f"it sums up every row of {_called(summed)}, {rows} in all; no index spares that"
    mend = (
        "Keep a summary: a table of sums that is refreshed now and then (a materialized view on "
        "PostgreSQL) or kept by triggers; or ask less often."
    )
    return Cause(MANY_ROWS, text, mend, {"summed": summed})


def _called(one: Json) -> str:
    """Return a table's name, with its schema where that is not the usual one."""
    return place_of(TableInfo(one["table"], (), schema=one.get("schema", "")))


def _number(rows: float) -> str:
    """Return a number of rows in words: counts stop at `COUNTED_MAX`."""
    return f"at least {rows:,.0f}" if rows == COUNTED_MAX else f"{rows:,.0f}"


def _read_per_needed(one: StatementView, candidate: Json) -> float | None:
    """Return rows that are read for each that would be read with the index; None: not known."""
    rows, matching = candidate["rows"], candidate["matching"]
    if rows is None or candidate["read"] is None:
        return None
    returned = max(1.0, one.spent.rows / max(1.0, one.spent.calls))
    if matching is None:
        return None
    if candidate["ordered"]:  # it is walked until so many rows are found that are wanted
        left = candidate["left"]
        walked = returned if left is None else returned * matching / max(1.0, left)
        needed = min(walked, matching)
    elif candidate["by_value"]:
        needed = matching
    elif candidate["partner_share"] is not None:
        needed = max(returned, rows * candidate["partner_share"])
    elif candidate["again"]:
        needed = 1.0
    else:
        return None
    return float(candidate["read"] / max(1.0, needed))


def _explains(one: StatementView, candidate: Json) -> bool:
    """Return whether reading those rows takes long enough to be why it is slow."""
    scan_ms = candidate["scan_ms"]
    if scan_ms is None or candidate["again"]:
        return True
    return bool(scan_ms >= SCAN_SHARE_MIN * one.mean_ms)


def stale_statistics(one: StatementView, config: TuneConfig) -> Cause | None:
    """Name statistics that misjudge a table which changed a lot since they were made."""
    for name, facts in one.facts.get("tables", {}).items():
        rows, stated = facts["rows"], facts["rows_by_statistics"]
        matching, expected = facts["matching"], facts["expected"]
        seen, said = (rows, stated) if expected is None else (matching, expected)
        if seen is None or said is None or rows is None or rows < config.rows_read_min:
            continue
        if said >= seen == COUNTED_MAX:  # there may be as many as the planner says
            continue
        apart = max(seen, 1.0) / max(said, 1.0)
        far = max(apart, 1 / apart) >= config.estimate_factor
        changed = facts["changed"]
        old = facts["never_analysed"] or (
            changed / max(rows, 1.0) >= config.changed_share
            if changed is not None
            else expected is None
        )
        if far and old:
            text = f"the planner expects {said:,.0f} rows of {name}, there are {_number(seen)}"
            mend = "Refresh the statistics (remedy refresh-statistics)."
            evidence: Json = {"table": name, "expected": said, "seen": seen, "changed": changed}
            return Cause(STALE_STATISTICS, text, mend, evidence)
    return None


def plan_change(one: StatementView, view: View) -> Cause | None:
    """Name a change of the plan when it was clearly slower after it than before."""
    if len(one.plans) < 2:
        return None
    at = one.plans[-1].at
    book, window = view.statements, one.seconds
    before = book.view(one.key, start=at - 2 * window, end=at - view.config.tune.queries_seconds)
    after = book.view(one.key, start=at, end=view.at)
    if before is None or after is None:
        return None
    least = view.config.tune.calls_min
    if min(before.spent.calls, after.spent.calls) < least or not before.mean_ms:
        return None
    factor = after.mean_ms / before.mean_ms
    if factor < view.config.tune.plan_change_factor:
        return None
    text = f"{factor:,.1f} times slower since its plan changed"
    mend = "Compare the two plans: what does the old one use that the new one does not?"
    return Cause(PLAN_CHANGE, text, mend, {"changed": at, "factor": round(factor, 2)})


def many_rows(one: StatementView, config: TuneConfig) -> Cause | None:
    """Name the rows it returns when these are most of what it reads."""
    returned = one.spent.rows / max(1.0, one.spent.calls)
    if returned < config.rows_returned or one.write or one.mean_ms > ROW_MS_MAX * returned:
        return None
    read = [facts["rows"] for facts in one.facts.get("tables", {}).values() if facts["rows"]]
    if one.facts.get("scanned") and read and max(read) / returned >= config.rows_read_per_row:
        return None
    text = f"each call returns {returned:,.0f} rows"
    mend = "Ask for a page (LIMIT with the last key), or for fewer columns and rows."
    return Cause(MANY_ROWS, text, mend, {"rows_per_call": round(returned)})


def reading(one: StatementView, config: TuneConfig) -> Cause | None:
    """Name I/O when most blocks come from below the cache."""
    hit, read = one.spent.blocks_hit, one.spent.blocks_read
    if hit is None or read is None or hit + read <= 0:
        return None
    share, each = read / (hit + read), read / max(1.0, one.spent.calls)
    if share < config.blocks_read_share or each < config.blocks_read_min:
        return None
    text = f"{share:.0%} of its blocks come from below the cache, {each:,.0f} each call"
    mend = "Give the server more memory for its cache, or read less."
    return Cause(IO, text, mend, {"read_share": round(share, 3), "blocks_per_call": round(each)})


def waiting_for_disk(one: StatementView, config: TuneConfig) -> Cause | None:
    """Name I/O on SQLite: most of the time that it does not queue for a processor it sleeps.

    A thread sleeps for other reasons than the disk too, so there have to be about as many pages
    from the disk as it went to sleep times. Where other threads of the process ran for a good part
    of that sleep, it may as well have waited for Python's lock, which SQLite's rows are fetched
    under; where it queues most of the time, the machine lacks processors. Then nothing is said.
    """
    cost = one.measured
    if cost is None or cost.calls < MEASURED_MIN or cost.seconds <= 0:
        return None
    pages = cost.disk_bytes / PAGE_BYTES
    if pages < PAGES_MIN * cost.calls or cost.sleeps > SLEEPS_MAX * pages:
        return None
    own = cost.seconds - cost.queued_seconds
    asleep = own - cost.cpu_seconds - cost.lock_seconds
    share = asleep / own if own > 0 else 0.0
    if share < config.disk_wait_share or cost.queued_seconds > own:
        return None
    long = asleep >= LOCK_SLEEP_SECONDS * cost.sleeps  # else the others ran beside short ones
    if cost.others_cpu_seconds >= OTHERS_SHARE_MAX * (asleep if long else cost.seconds):
        return None
    each = cost.disk_bytes / cost.calls
    text = f"{share:.0%} of its time it waits for the disk, {each / 1e6:,.1f} MB each call"
    mend = (
        "Leave the machine more memory to keep the file in, or read less: fewer columns, or an "
        "index that holds all that it needs."
    )
    return Cause(IO, text, mend, {"disk_wait_share": round(share, 3), "disk_bytes": round(each)})


def subject_of(view: View, key: str) -> Subject:
    """Return the subject of a statement's finding."""
    return view.subject("statement", key)
