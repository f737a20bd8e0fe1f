"""The operator at this moment: what `status` and the page's tick show.

Only fresh readings count as now; what is not known is null with its reason, never 0.
"""

from __future__ import annotations

from importlib.metadata import version as distribution_version

from homeostat.logbook.rows import Json
from homeostat.measure import Sample, Severity, Subject, Unknown
from homeostat.operate.attached import Attached
from homeostat.operate.operator import Operator
from homeostat.operate.views import DatabaseStatus, Latest, Status, Tick

VERSION = distribution_version("homeostat")
FRESH_TICKS = 3  # a reading older than this many ticks is no longer now
POOL_METRICS = ("limit", "in_use_mean", "waiting", "wait_ms", "use_share")


def status_of(operator: Operator) -> Status:
    """Return the state of the operator and of all its databases."""
    databases = [_database_status(operator, one) for one in list(operator.attached.values())]
    state, detail = "ok", "watching"
    if operator.lost is not None:
        state, detail = "lost", str(operator.lost)
    elif operator.logbook_error is not None:
        state, detail = "logbook", str(operator.logbook_error)
    elif operator.pending:
        state = "trouble"
        detail = f"{len(operator.pending)} of the databases could not be attached yet"
    elif any(one.state in {"trouble", "unreachable"} for one in databases):
        state = "trouble"
        detail = f"{sum(one.findings for one in databases)} open findings"
    elif databases and all(one.state == "paused" for one in databases):
        state, detail = "paused", "observing; nothing is applied"
    return Status(
        version=VERSION,
        state=state,
        detail=detail,
        pid=operator.owner.pid,
        epoch=max((one.ownership.epoch for one in operator.attached.values()), default=0),
        uptime_seconds=operator.clock.now() - operator.started,
        databases=databases,
        next_command=_next_command(operator),
        pending=list(operator.pending.values()),
    )


def _database_status(operator: Operator, one: Attached) -> DatabaseStatus:
    unknown: dict[str, str] = {}
    states = operator.logbook.remedy_states(one.row.key)
    findings = one.findings.open()
    serious = [f for f in findings if Severity(f.severity).rank >= Severity.WARNING.rank]
    state = "ok"
    if one.watch.error:
        state = "unreachable"
    elif operator.is_paused(one.row.key):
        state = "paused"
    elif serious:
        state = "trouble"

    def known(metric: str, name: str) -> float | None:
        value, reason = reading(operator, one, metric, Subject(one.row.key))
        if value is None:
            unknown[name] = reason
        return value

    kinds = sorted({one.desk.autonomy_of(remedy.key) for remedy in one.desk.remedies})
    return DatabaseStatus(
        key=one.row.key,
        label=one.row.label,
        dialect=one.row.dialect,
        version=one.row.version,
        state=state,
        since=one.row.attached,
        promise_ms=operator.config.monitor.promise_ms,
        p50_ms=known("operation.p50_ms", "p50_ms"),
        p99_ms=known("operation.p99_ms", "p99_ms"),
        operations_per_second=known("operation.rate", "operations_per_second"),
        agents=len(one.watch.agents.views(operator.clock.now())),
        findings=len(findings),
        healed=states.get("kept", 0),
        reverted=states.get("reverted", 0) + states.get("ineffective", 0),
        waiting=states.get("waiting", 0) + states.get("asking", 0),
        autonomy=", ".join(kinds) if kinds else operator.config.operate.autonomy,
        unknown=unknown,
        name=one.name,
        group=one.settings.group,
        labels=one.settings.labels,
        pools=_pools(operator, one),
    )


def _next_command(operator: Operator) -> str:
    for one in operator.attached.values():
        waiting = operator.logbook.remedies(
            database=one.row.key, states=["waiting", "asking"], limit=1
        )
        if waiting:
            return f"homeostat remedy show {waiting[0].id}"
    return "homeostat remedy list" if operator.logbook.remedies(limit=1) else "homeostat link"


def tick_of(operator: Operator, one: Attached) -> Tick:
    """Return what the page shows live of one database."""
    whole = Subject(one.row.key)
    recent = one.watch.recent
    fresh = fresh_since(operator)
    latest: list[Latest] = []
    for metric in recent.metrics():
        spec = operator.registry.spec(metric)
        for subject in recent.subjects(metric, since=fresh):
            sample = recent.last(metric, subject)
            if sample is not None and spec is not None:
                latest += _latest(sample, spec.unit)

    def now(metric: str, subject: Subject = whole) -> float | None:
        return reading(operator, one, metric, subject)[0]

    errors = now("operation.errors")
    seconds = operator.config.monitor.performance_seconds
    return Tick(
        database=one.row.key,
        at=operator.clock.now(),
        p50_ms=now("operation.p50_ms"),
        p99_ms=now("operation.p99_ms"),
        operations_per_second=now("operation.rate"),
        errors_per_second=None if errors is None else errors / seconds,
        segments=_segments(one, since=fresh),
        pools=_pools(operator, one),
        latest=latest,
    )


def _segments(one: Attached, *, since: float) -> dict[str, float]:
    """Return operations per second by segment; 0 for one that the newest reading has none of."""
    recent = one.watch.recent
    known = {
        subject.name: sample
        for subject in recent.subjects("operation.rate", since=since)
        if subject.kind == "segment" and (sample := recent.last("operation.rate", subject))
    }
    newest = max((sample.at for sample in known.values()), default=0.0)
    return {
        name: sample.value if sample.at == newest else 0.0
        for name, sample in known.items()
        if isinstance(sample.value, float)
    }


def _pools(operator: Operator, one: Attached) -> list[Json]:
    """Return the pools of agents that are alive, and those that a probe sees in a pooler."""
    pools: list[Json] = []
    agents = {f"agent:{a.name}": a for a in one.watch.agents.views(operator.clock.now())}
    for subject in one.watch.recent.subjects("pool.limit", since=fresh_since(operator)):
        agent = agents.get(subject.instance)
        if agent is None and subject.instance.startswith("agent:"):
            continue
        pool: Json = {
            "name": subject.name,
            "agent": agent.name if agent else subject.instance,
            "application": agent.application if agent else "",
        }
        for metric in POOL_METRICS:
            pool[metric] = reading(operator, one, f"pool.{metric}", subject)[0]
        pools.append(pool)
    return pools


def fresh_since(operator: Operator) -> float:
    """Return from when on a reading counts as now, in seconds since 1970 UTC."""
    monitor = operator.config.monitor
    interval = max(monitor.performance_seconds, monitor.health_seconds)
    return operator.clock.now() - FRESH_TICKS * interval


def reading(
    operator: Operator, one: Attached, metric: str, subject: Subject
) -> tuple[float | None, str]:
    """Return a fresh reading, or None with the reason why there is none."""
    sample = one.watch.recent.last(metric, subject)
    if sample is None:
        return None, "not measured yet"
    if sample.at < fresh_since(operator):
        return None, "not measured lately"
    if isinstance(sample.value, Unknown):
        return None, sample.value.reason
    return (sample.value, "") if isinstance(sample.value, float) else (None, "a distribution")


def _latest(sample: Sample, unit: str) -> list[Latest]:
    label = sample.subject.label
    if isinstance(sample.value, Unknown):
        value, reason = None, sample.value.reason
    elif isinstance(sample.value, float):
        value, reason = sample.value, ""
    else:
        return []
    return [
        Latest(
            subject=label, metric=sample.metric, unit=unit, at=sample.at, value=value, reason=reason
        )
    ]
