"""`homeostat status` as one screen of 80 by 24, whatever there is to say.

It only formats. A value that is not known is shown as unknown with its reason, never as 0.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from homeostat.cli.text import Screen, counted, duration, number, shorten
from homeostat.logbook.rows import Finding, Json
from homeostat.measure import Severity
from homeostat.operate.views import DatabaseStatus, Status

FINDINGS_SHOWN = 3
DETAILED_MAX = 2  # with more databases than this, each has one line
ROWS_MAX = 8  # with three findings and the next command: 23 lines
COLOUR_OF_STATE = {
    "ok": "green",
    "trouble": "yellow",
    "unreachable": "red",
    "paused": "cyan",
    "logbook": "yellow",
    "unwatched": "yellow",
}
COLOUR_OF_SEVERITY = {"info": "dim", "warning": "yellow", "high": "red", "critical": "red"}
POOLER = "pgbouncer"  # the instance of a pool that PgBouncer has
BADNESS = ("unreachable", "trouble", "paused", "unwatched", "ok")


def status_lines(
    status: Status, findings: Sequence[Finding], screen: Screen, *, note: str, suffix: str
) -> list[str]:
    """Return the whole screen.

    Args:
        status: what the operator, or else the logbook, says.
        findings: the open findings of all databases.
        screen: where it goes.
        note: one line to put first, e.g. that no operator is running; empty: none.
        suffix: what every command needs appended, e.g. ` --data DIR`.
    """
    lines = [screen.paint(screen.fit(note), "yellow")] if note else []
    lines += [_head(status, screen)]
    if status.detail and not note:
        lines.append(screen.fit(status.detail))
    if not status.databases:
        lines += ["", "  No database is attached. `homeostat up URL` observes one."]
    elif len(status.databases) <= DETAILED_MAX:
        shown = FINDINGS_SHOWN if len(status.databases) == 1 else 1
        for database in status.databases:
            own = [finding for finding in findings if finding.database == database.key]
            lines += ["", *_database(database, own, screen, shown=shown)]
    else:
        lines += ["", *_databases(status.databases, screen)]
        lines += ["", *_findings(findings, screen, shown=FINDINGS_SHOWN)]
    for one in status.pending:
        said = f"  not attached yet: {one.name or one.label}: {one.error}"
        lines.append(screen.paint(screen.fit(said), "yellow"))
    command = status.next_command
    if command.startswith("homeostat ") and "--data" not in command:
        command += suffix
    if command:
        lines += ["", f"next: {screen.paint(command, 'bold')}"]  # whole: it is to be copied
    return lines


def ranked(findings: Sequence[Finding]) -> list[Finding]:
    """Return findings, the worst first, then the newest."""
    order = {severity.value: severity.rank for severity in Severity}
    return sorted(findings, key=lambda f: (-order.get(f.severity, 0), -f.opened))


def finding_lines(finding: Finding, screen: Screen, *, indent: str) -> list[str]:
    """Return a finding as two lines: what, and its cause."""
    severity = finding.severity.ljust(8)
    what = screen.fit(finding.what, taken=len(indent) + 10)
    cause = screen.fit(finding.cause, taken=len(indent) + 17)
    return [
        f"{indent}{screen.paint(severity, COLOUR_OF_SEVERITY.get(finding.severity, ''))}  {what}",
        f"{indent}          cause: {cause}",
    ]


def _head(status: Status, screen: Screen) -> str:
    state = screen.paint(status.state, COLOUR_OF_STATE.get(status.state, ""))
    parts = [f"homeostat {status.version}", state]
    if status.pid is not None and status.uptime_seconds is not None:
        parts.append(f"operator pid {status.pid}, up {duration(status.uptime_seconds)}")
    return "  ".join(parts)


def _database(
    database: DatabaseStatus, findings: Sequence[Finding], screen: Screen, *, shown: int
) -> list[str]:
    state = screen.paint(database.state, COLOUR_OF_STATE.get(database.state, ""))
    engine = f"{database.dialect} {database.version}"
    autonomy = "" if "autonomy" in database.unknown else f"  autonomy {database.autonomy}"
    taken = 4 + len(engine) + 2 + len(database.state) + len(autonomy)
    label = shorten(database.label, None if screen.width is None else screen.width - taken)
    lines = [f"  {screen.paint(label, 'bold')}  {engine}  {state}{autonomy}"]
    lines += _latency(database, screen)
    lines += [_pooler(pool, screen) for pool in database.pools if pool["agent"] == POOLER][:1]
    waiting = f"{database.waiting} waiting for you"
    if database.waiting:
        waiting = screen.paint(waiting, "yellow")
    lines.append(f"    remedies  {database.healed} healed, {database.reverted} reverted, {waiting}")
    lines += _findings(findings, screen, shown=shown, indent="    ", total=database.findings)
    return lines


def _pooler(pool: Json, screen: Screen) -> str:
    """Return the line about the PgBouncer before a database."""
    head = "    pooler    "
    if pool["limit"] is None:
        return head + screen.fit("unknown: PgBouncer's console does not answer", taken=len(head))
    used, waits = pool["in_use_mean"], pool["waiting"]
    said = f"PgBouncer, {pool['name']}: {_value(used, '')} of {number(pool['limit'])} in use"
    said += f", {_value(waits, '')} waiting"
    if waits and pool["wait_ms"] is not None:
        said += f" {number(pool['wait_ms'])} ms"
    return head + screen.fit(said, taken=len(head))


def _latency(database: DatabaseStatus, screen: Screen) -> list[str]:
    reasons = dict(database.unknown)
    if database.p99_ms is None and database.p50_ms is None:
        return _unknown("p99", reasons.get("p99_ms", "no reason was given"), screen)
    lines = [_speed(database, screen)]
    for name, value in (
        ("p99_ms", database.p99_ms),
        ("p50_ms", database.p50_ms),
        ("operations_per_second", database.operations_per_second),
    ):
        if value is None:
            lines += _unknown(name, reasons.get(name, "no reason was given"), screen)
    return lines


def _speed(database: DatabaseStatus, screen: Screen) -> str:
    """Return latency against the promise, and as much of the rest as the line has room for."""
    value, promise = database.p99_ms, database.promise_ms
    p99 = _value(value, " ms")
    against = "" if promise is None else f" of {number(promise)} ms promised"
    rest = [f", p50 {_value(database.p50_ms, ' ms')}"]
    rest.append(f", {_value(database.operations_per_second, ' operations/s')}")
    if database.agents is not None:
        rest.append(f", {counted(database.agents, 'agent')}")
    room = 10_000 if screen.width is None else screen.width - 14 - len(p99 + against)
    while len("".join(rest)) > room:
        rest.pop()
    colour = ""
    if value is not None and promise is not None:
        colour = "green" if value <= promise else "red"
    return f"    p99       {screen.paint(p99, colour)}{against}{''.join(rest)}"


def _unknown(name: str, reason: str, screen: Screen) -> list[str]:
    text = screen.fit(f"unknown: {reason}", taken=-60)
    width = 10_000 if screen.width is None else screen.width - 15
    wrapped = textwrap.wrap(text, width, max_lines=2, placeholder="...")
    head = f"    {name.ljust(9)} "
    return [head + wrapped[0], *(" " * 14 + line for line in wrapped[1:])]


def _value(value: float | None, unit: str) -> str:
    return "unknown" if value is None else number(value) + unit


def _findings(
    findings: Sequence[Finding],
    screen: Screen,
    *,
    shown: int,
    indent: str = "  ",
    total: int | None = None,
) -> list[str]:
    count = max(len(findings), total or 0)
    if not count:
        return [f"{indent}findings  none open"]
    hidden = count - min(shown, len(findings))
    more = f", the worst {shown} here; --json lists all" if hidden and findings else ""
    lines = [f"{indent}findings  {count} open{more}"]
    for finding in ranked(findings)[:shown]:
        lines += finding_lines(finding, screen, indent=indent + "  ")
    return lines


def _databases(databases: Sequence[DatabaseStatus], screen: Screen) -> list[str]:
    worst = sorted(databases, key=lambda d: BADNESS.index(d.state) if d.state in BADNESS else 0)
    rows = [_row(database, screen) for database in worst[:ROWS_MAX]]
    head = f"  {'state':<12}{'p99 ms':>9} /{'promise':>8}{'healed':>8}{'reverted':>9}"
    lines = [screen.paint(f"{head}{'waiting':>8}{'open':>6}  database", "dim"), *rows]
    if len(worst) > ROWS_MAX:
        lines.append(f"  ... and {len(worst) - ROWS_MAX} more; --json lists all")
    return lines


def _row(database: DatabaseStatus, screen: Screen) -> str:
    p99 = "unknown" if database.p99_ms is None else number(database.p99_ms)
    promise = "unknown" if database.promise_ms is None else number(database.promise_ms)
    state = screen.paint(database.state.ljust(12), COLOUR_OF_STATE.get(database.state, ""))
    counts = (
        f"{database.healed:>8}{database.reverted:>9}{database.waiting:>8}{database.findings:>6}"
    )
    group = f", in {database.group}" if database.group else ""
    label = screen.fit((database.name or database.label) + group, taken=66)
    return f"  {state}{p99:>9} /{promise:>8}{counts}  {label}"
