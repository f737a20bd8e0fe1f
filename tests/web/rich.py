"""An operator that has something to show on every page, with long names and unknown numbers."""

from __future__ import annotations

import math

import msgspec

from homeostat.operate.insights import (
    Activity,
    AgentRow,
    Chart,
    FoundRow,
    Hit,
    IndexRow,
    Line,
    LockNode,
    Proposals,
    ProposedRow,
    Reading,
    SessionRow,
    SettingRow,
    SettingsInForce,
    StatementBefore,
    StatementRow,
    TableRow,
    Tables,
    Tried,
)
from homeostat.operate.operation_sums import OperationRow
from homeostat.operate.views import Explained, PlanThen
from tests.web import scenes
from tests.web.fake import KEY, FakeConsole

LONG = "a_very_long_name_of_something_" * 3
SQL = f"SELECT id, {LONG} FROM orders WHERE customer = :customer ORDER BY at DESC LIMIT :page"
STATEMENT = "0123456789abcdef"
PAGES = (
    "", "/performance?compare=day", "/statements?compare=week", f"/statements/{STATEMENT}",
    "/tables", "/activity", "/remedies", "/remedies/1", "/findings/1", "/report", "/settings",
    "/audit",
)  # fmt: skip


def fill(console: FakeConsole) -> None:
    """Give every page something to show."""
    scenes.undone(console)
    console.rows_charts = charts(console.now())
    before = StatementBefore(cost_ms_per_second=3.0, mean_ms=0.7, calls_per_second=4.2)
    console.rows_statements = [
        statement(before=before),
        statement(name=SQL, finding=1, write=True, p99_ms=None),
    ]
    console.explained = explained(console.now())
    console.seen = activity(console.now())
    console.held = tables(console.now())
    console.in_force = settings()
    console.report_of = report(console.now())
    console.rows_hits = [Hit(kind="table", database=KEY, name=LONG, title=LONG, detail=SQL)]


def line(metric: str, now: float, level: float, name: str = "") -> Line:
    """Return a line of the last hour with a gap in it."""
    points = [
        Reading(now - 3600 + 15 * i, level + math.sin(i / 9), level - 1, level + 2)
        for i in range(240)
        if not 100 < i < 120
    ]
    return Line(metric=metric, name=name, points=points, mean=level, low=level - 1, high=level + 2)


def charts(now: float) -> list[Chart]:
    """Return one line, several, and none."""
    one = line("operation.rate", now, 80.0)
    pools = [line("pool.wait_ms", now, 3.0 + i, f"shop: {LONG[:40]}{i}") for i in range(6)]
    common = {"help": "", "bad": "up", "known_since": now - 9e5}
    return [
        Chart(
            name="throughput",
            title="Operations",
            unit="1/s",
            lines=[one],
            before=[line("operation.rate", now - 86_400, 40.0)],
            **common,  # type: ignore[arg-type]
        ),
        Chart(name="waits", title="Waits", unit="ms", lines=pools, more=3, **common),  # type: ignore[arg-type]
        Chart(
            name="cpu", title="CPU", unit="share", help="", bad="up", lines=[], reason="not told"
        ),
    ]


def statement(**changes: object) -> StatementRow:
    """Return what a statement costs."""
    fields: dict[str, object] = {
        "statement": STATEMENT, "name": "orders_of", "text": SQL, "applications": ["shop"],
        "write": False, "cost_ms_per_second": 12.0, "share": 0.4, "mean_ms": 3.0,
        "calls_per_second": 4.0, "rows_per_call": 1.0, "late_share": 0.02, "pages_per_call": None,
        "waited_share": 0.1, "source": "agents", "finding": None, "planned": True,
        "p95_ms": 8.0, "p99_ms": 21.4,
    }  # fmt: skip
    return StatementRow(**{**fields, **changes})  # type: ignore[arg-type]


def explained(now: float) -> Explained:
    """Return a statement with two plans."""
    scan = {
        "kind": "Seq Scan", "relation": "orders", "detail": f"Filter: ({LONG} = $1)",
        "rows_estimated": 10.0, "rows": 5000.0, "cost": 80.0, "removed": 90_000.0,
    }  # fmt: skip
    search = {"kind": "Index Scan", "relation": "customers", "index": LONG, "cost": 5.0}
    join = {"kind": "Hash Join", "cost": 100.0, "children": [scan, search]}
    plan = {"root": {"kind": "Limit", "cost": 100.0, "children": [join]}, "executed": False}
    return Explained(
        database=KEY, name="orders_of", finding=None, statement=STATEMENT, text=SQL,
        operations=["orders_of"], applications=["shop"], source="agents", mean_ms=3.0,
        calls_per_second=4.0, cost_ms_per_second=12.0, late_share=0.1, rows_per_call=None,
        plan=plan, plans=[PlanThen(at=now - 50, plan=plan), PlanThen(at=now, plan=plan)],
        facts={"tables": {"orders": {"rows": 5000}}}, remedies=[],
    )  # fmt: skip


def activity(now: float) -> Activity:
    """Return sessions that wait for each other."""
    last = LockNode(pid=13, who="shop", user="app", what=SQL, seconds=4.0)
    next_ = LockNode(pid=12, who="shop", user="app", what=SQL, seconds=5.0, waiting=[last])
    holder = LockNode(pid=11, who=LONG, user="etl", what=SQL, seconds=90.0, waiting=[next_])
    sessions = [
        SessionRow(
            pid=pid, user="app", application=LONG, state="active", state_seconds=4.0,
            transaction_seconds=None if pid == 13 else 9.0, wait="Lock:tuple", query=SQL,
            blocked_by=[pid - 1] if pid > 11 else [],
        )
        for pid in (11, 12, 13)
    ]  # fmt: skip
    agent = AgentRow(
        name="shop-1", application="shop", pid=1, host=LONG, heard=now, cpu_share=None, limit=8,
        in_use=3.2, waiting=1, operations_per_second=80.0,
    )  # fmt: skip
    operation = OperationRow(
        operation=LONG, segment="free", calls_per_second=80.0, errors_per_second=0.5, p50_ms=2.0,
        p99_ms=9.0, rows_per_call=3.0, received_bytes_per_call=48_213.0, sent_bytes_per_call=8.0,
        waited_share=0.25, waited_ms_per_call=1.5,
    )  # fmt: skip
    older = msgspec.structs.replace(
        operation, segment=LONG, received_bytes_per_call=None, sent_bytes_per_call=None,
        waited_share=None, waited_ms_per_call=None,
    )  # fmt: skip
    return Activity(
        database=KEY, at=now, connections=3.0, connections_max=97.0, waiting=2.0,
        sessions=sessions, locks=[holder], agents=[agent],
        operations=[operation, older],
    )  # fmt: skip


def tables(now: float) -> Tables:
    """Return tables with indexes that stand out, and one of which little is known."""
    index = IndexRow(
        name=LONG, columns=["customer", "at"], definition=SQL, unique=False, constraint=False,
        valid=False, bytes=9e6, scans=0.0, remark="invalid: a build that failed left it behind",
    )  # fmt: skip
    table = TableRow(
        name="orders", schema="public", rows=5e6, dead_rows=4e5, bytes=9e9, index_bytes=1e9,
        waste_bytes=7e8, changed=12.0, analysed=now, vacuumed=None, full_scans=3.0,
        full_scan_rows=1.5e7, index_scans=9e6, grown_bytes=4e7, grown_seconds=86_400.0,
        indexes=[index],
    )  # fmt: skip
    locked = {"bytes": "somebody holds the table", "rows": "never analysed"}
    hidden = msgspec.structs.replace(
        table, name=LONG, bytes=None, rows=None, waste_bytes=None, indexes=[], unknown=locked
    )
    return Tables(database=KEY, at=now, tables=[table, hidden])


def settings() -> SettingsInForce:
    """Return settings of both kinds."""
    row = SettingRow(
        name="work_mem", value="7168 kB", default="4096 kB", source="/etc/postgresql.conf:12",
        description="Memory of a sort.", category="Resources", restart=True,
    )  # fmt: skip
    own = msgspec.structs.replace(row, name="monitor.promise_ms", category="[monitor]", value=None)
    return SettingsInForce(database=KEY, of_database=[row], of_homeostat=[own])


def report(now: float) -> Proposals:
    """Return a week in observe mode."""
    offer = ProposedRow(
        remedy=1, key="grow-pool", title="grow the pool", why=LONG, state="observed",
        proposed=now, finding=1, rehearsal="not rehearsed yet", benefit="at least -30%",
        undo="exact", decision="Approve or reject it.",
    )  # fmt: skip
    found = FoundRow(
        rule="pool-exhausted", count=3, open_now=1, open_seconds=4000.0, severity="high", newest=1,
        what=LONG, cause="unknown",
    )  # fmt: skip
    trial = Tried(
        at=now - 60, ok=True, operation=LONG, before_ms=8.2, after_ms=0.06, benefit_share=0.91,
        build_seconds=1.4, index_bytes=3.2e7, replayed=18, captured=20,
    )  # fmt: skip
    offer = msgspec.structs.replace(offer, tried=trial)
    tried = msgspec.structs.replace(offer, state="kept", remedy=2)
    return Proposals(
        database=KEY, start=now - 6e5, end=now, since=now - 3e5, autonomy="observe",
        found=[found], proposed=[offer, tried],
    )  # fmt: skip
