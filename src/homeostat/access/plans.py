"""Plans of slow calls, asked beside the application's own work.

A thread of its own opens a connection of its own, asks EXPLAIN (PostgreSQL, without running the
statement) or EXPLAIN QUERY PLAN (SQLite), and closes it. So no caller, no place in the pool and no
report waits for it: a slow call goes into the report after its plan is there, or into the next one
without. A statement is explained once in PLAN_AGAIN_SECONDS; what comes between carries that plan.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable

from homeostat.access.sampling import Call
from homeostat.clock import Clock
from homeostat.driver.redact import VALUE, redact
from homeostat.driver.tokens import COMMENT, SPACE, STRING, tokens
from homeostat.driver.wire import Rows, Wire
from homeostat.errors import HomeostatError

PLANS_MAX = 8  # statements explained between two reports
PLAN_BYTES_MAX = 4_000
PLAN_AGAIN_SECONDS = 60.0  # plans change with statistics and indexes, which take minutes
PLAN_MS_MAX = 1_000.0  # a plan takes a millisecond; longer means a lock is in the way
LAST_SECONDS_MAX = 0.1  # of AgentOptions.close_seconds
PLANS_KEPT_MAX = 256
_NODE = re.compile(r"\(cost=[0-9.]+ rows=[0-9]+ width=[0-9]+\)\Z")
log = logging.getLogger("homeostat.agent")


class Explainer:
    """Takes slow calls, gives them back with their plans."""

    def __init__(self, connect: Callable[[], Wire] | None, *, clock: Clock) -> None:
        """Take how to open a connection; None: no plans are asked."""
        self._connect = connect
        self._clock = clock
        self._thread: threading.Thread | None = None
        self._asked: list[Call] = []
        self._plans: dict[str, tuple[float, str]] = {}

    def explained(self, calls: list[Call], *, last: bool = False) -> list[Call]:
        """Return calls to report now: earlier ones that were asked about, and those not asked.

        Args:
            calls: slow calls since the report before.
            last: no report follows, so nothing more is asked.
        """
        thread = self._thread
        if thread is not None and last:
            thread.join(LAST_SECONDS_MAX)
        if thread is not None and thread.is_alive():
            return calls + self._asked if last else calls  # the engine is slow to answer
        ready, self._asked, self._thread = self._asked, [], None
        if last:
            return ready + calls
        for call in calls:
            known = self._plans.get(call.sql)
            if known is not None and self._clock.monotonic() - known[0] < PLAN_AGAIN_SECONDS:
                call.plan = known[1]
                ready.append(call)
            elif self._connect is None or call.omitted or len(self._asked) >= PLANS_MAX:
                ready.append(call)
            else:
                self._asked.append(call)
        if self._asked:
            self._thread = threading.Thread(target=self._ask, name="homeostat-plans", daemon=True)
            self._thread.start()
        return ready

    def _ask(self) -> None:
        if self._connect is None:
            return
        try:
            wire = self._connect()
            try:
                for call in self._asked:
                    call.plan = plan(wire, call)
                    if len(self._plans) >= PLANS_KEPT_MAX:
                        self._plans.clear()
                    self._plans[call.sql] = (self._clock.monotonic(), call.plan)
            finally:
                wire.close()
        except HomeostatError as error:
            log.debug("No plans of slow calls: %s", error)


def plan(wire: Wire, call: Call) -> str:
    """Return the plan of a call as the engine tells it, without values; empty if it tells none."""
    words = "EXPLAIN QUERY PLAN" if wire.dialect == "sqlite" else "EXPLAIN"
    try:
        rows = wire.execute(f"{words} {call.sql}", call.params, deadline_ms=PLAN_MS_MAX)
    except HomeostatError as error:
        if wire.broken:
            raise
        log.debug("No plan of %s: %s", call.name, error)
        return ""
    lines = _tree(rows) if wire.dialect == "sqlite" else [str(row[0]) for row in rows.rows]
    return without_values("\n".join(lines))[:PLAN_BYTES_MAX]


def _tree(rows: Rows) -> list[str]:
    """Return SQLite's rows of (id, parent, unused, detail) as indented lines."""
    depth: dict[object, int] = {0: -1}
    lines = []
    for number, parent, _, detail in rows.rows:
        depth[number] = depth.get(parent, -1) + 1
        lines.append("  " * depth[number] + str(detail))
    return lines


def without_values(plan: str) -> str:
    """Return a plan without literals: conditions hold them, nodes hold only names.

    Text goes first and from the whole plan, since it may hold line breaks or look like a node.
    """
    out = []
    for kind, text in tokens(plan):
        if kind == STRING:
            out.append(VALUE)
        elif kind != COMMENT:
            out.append(text if kind == SPACE else text.replace("\n", " "))
    lines = []
    for line in "".join(out).split("\n"):
        head, colon, condition = line.partition(": ")
        if _NODE.search(line) is None and colon:
            line = f"{head}: {redact(condition)}"  # noqa: PLW2901  the line as it goes on
        lines.append(line)
    return "\n".join(lines)
