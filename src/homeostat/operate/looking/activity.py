"""Who is connected and who waits for whom, as the newest performance tick saw it; asks nobody."""

from __future__ import annotations

from homeostat.access.protocol import unpack
from homeostat.engine.engine import Activity as Seen
from homeostat.engine.engine import LockHolder, Session
from homeostat.measure import Unknown
from homeostat.operate.attached import Attached
from homeostat.operate.insights import Activity, AgentRow, LockNode, SessionRow
from homeostat.operate.operation_sums import Newest, OperationRow, OperationSum
from homeostat.operate.operator import Operator
from homeostat.operate.rule import AgentView

NOT_YET = "nothing was seen yet"
DEPTH_MAX = 20
OPERATIONS_MAX = 50


def activity_of(operator: Operator, one: Attached) -> Activity:
    """Return who is connected and who waits for whom."""
    view = one.watch.view()
    seen = view.activity
    agents = [_agent(agent) for agent in view.agents]
    operations = _operations(one.watch.agents.newest())
    shown, more = operations[:OPERATIONS_MAX], max(0, len(operations) - OPERATIONS_MAX)
    if seen is None:
        reason = one.watch.error or NOT_YET
        names = ("connections", "connections_max", "waiting", "sessions")
        return Activity(
            database=one.row.key,
            at=None,
            connections=None,
            connections_max=None,
            waiting=None,
            sessions=None,
            locks=[],
            agents=agents,
            operations=shown,
            operations_more=more,
            unknown=dict.fromkeys(names, reason),
        )
    unknown: dict[str, str] = {}

    def known(name: str, value: float | Unknown) -> float | None:
        if isinstance(value, Unknown):
            unknown[name] = value.reason
            return None
        return value

    listed = isinstance(seen.connections, float) or bool(seen.sessions)
    if not listed and isinstance(seen.connections, Unknown):
        unknown["sessions"] = seen.connections.reason
    return Activity(
        database=one.row.key,
        at=one.watch.seen_at() or operator.clock.now(),
        connections=known("connections", seen.connections),
        connections_max=known("connections_max", seen.connections_max),
        waiting=known("waiting", seen.waiting),
        sessions=[_session(session) for session in seen.sessions] if listed else None,
        locks=lock_tree(seen),
        agents=agents,
        operations=shown,
        operations_more=more,
        unknown=unknown,
    )


def lock_tree(seen: Seen) -> list[LockNode]:
    """Return those who hold others up and wait for nobody, each with those who wait, in turn.

    A circle of waiting sessions, which the server is about to break, hangs below its first.
    """
    sessions = {session.pid: session for session in seen.sessions}
    waits = {pid: set(one.blocked_by) - {pid} for pid, one in sessions.items() if one.blocked_by}
    holders = {one.pid: one for one in seen.holders}
    roots = [pid for pid in holders if pid not in waits]
    placed: set[int] = set()

    def below(pid: int, path: frozenset[int]) -> list[LockNode]:
        nodes = []
        for waiting, ahead in waits.items():
            if pid in ahead and waiting not in path and len(path) < DEPTH_MAX:
                placed.add(waiting)
                nodes.append(_waiter(sessions[waiting], below(waiting, path | {waiting})))
        return nodes

    trees = [_holder(holders[pid], below(pid, frozenset({pid}))) for pid in roots]
    for pid, holder in holders.items():
        if pid in waits and pid not in placed:
            placed.add(pid)
            trees.append(_holder(holder, below(pid, frozenset({pid}))))
    return trees


def _holder(one: LockHolder, waiting: list[LockNode]) -> LockNode:
    return LockNode(
        pid=one.pid,
        who=one.application or one.user or "unnamed",
        user=one.user,
        what=one.what,
        seconds=one.held_seconds,
        waiting=waiting,
    )


def _waiter(one: Session, waiting: list[LockNode]) -> LockNode:
    return LockNode(
        pid=one.pid,
        who=one.application or one.user or "unnamed",
        user=one.user,
        what=one.query,
        seconds=one.state_seconds,
        waiting=waiting,
    )


def _session(one: Session) -> SessionRow:
    return SessionRow(
        pid=one.pid,
        user=one.user,
        application=one.application,
        state=one.state,
        state_seconds=one.state_seconds,
        transaction_seconds=one.transaction_seconds,
        wait=one.wait,
        blocked_by=list(one.blocked_by),
        query=one.query,
    )


def _agent(one: AgentView) -> AgentRow:
    report = one.report
    calls = sum(unpack(operation.latency).count for operation in report.operations)
    return AgentRow(
        name=one.name,
        application=one.application,
        pid=one.pid,
        host=one.host,
        heard=one.heard,
        cpu_share=report.cpu_share,
        limit=sum(pool.limit for pool in report.pools),
        in_use=sum(pool.in_use_mean for pool in report.pools),
        waiting=sum(pool.waiting for pool in report.pools),
        operations_per_second=calls / report.seconds if report.seconds else 0.0,
    )


def _operations(newest: Newest) -> list[OperationRow]:
    """Return what ran in the newest tick, the busiest first."""
    rows = [
        _operation(operation, segment, one, newest.seconds)
        for (operation, segment), one in newest.sums.items()
        if one.latency.count
    ]
    return sorted(rows, key=lambda row: -row.calls_per_second)


def _operation(operation: str, segment: str, one: OperationSum, seconds: float) -> OperationRow:
    calls = one.latency.count
    p50, p99 = one.latency.quantile(0.5), one.latency.quantile(0.99)

    def each(value: float | None) -> float | None:
        return None if value is None else value / calls

    return OperationRow(
        operation=operation,
        segment=segment,
        calls_per_second=calls / seconds,
        errors_per_second=one.errors / seconds,
        p50_ms=None if isinstance(p50, Unknown) else p50 / 1000,
        p99_ms=None if isinstance(p99, Unknown) else p99 / 1000,
        rows_per_call=one.rows / calls,
        received_bytes_per_call=each(one.received_bytes),
        sent_bytes_per_call=each(one.sent_bytes),
        waited_share=None if one.waits is None else min(1.0, one.waits / calls),
        waited_ms_per_call=each(one.waited_ms),
    )
