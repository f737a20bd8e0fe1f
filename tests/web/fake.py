"""An operator that does what a test tells it, behind the Console protocol, with real row types."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import msgspec

from homeostat.access.protocol import Reply, Report, Settings
from homeostat.errors import DecisionRefusedError, HomeostatError, NotFoundError
from homeostat.logbook.rows import (
    AuditEntry,
    Event,
    Finding,
    Json,
    RemedyRecord,
    Run,
    Step,
)
from homeostat.operate.views import (
    CloneView,
    DatabaseStatus,
    Explained,
    Point,
    RemedyView,
    Series,
    SeriesNow,
    Status,
    Tick,
)
from tests.web.fake_insights import FakeInsights

KEY = "sqlite-2049-77"
DECIDED = {"approve": "verifying", "reject": "rejected", "revert": "reverted"}


class FakeConsole(FakeInsights):
    """Holds rows; `put_*` commits one and wakes who waits."""

    def __init__(self, now: Callable[[], float], *, keys: tuple[str, ...] = (KEY,)) -> None:
        self.now = now
        self._changed = threading.Condition()
        self.reset(keys)

    def reset(self, keys: tuple[str, ...] = (KEY,)) -> None:
        """Forget everything."""
        self.keys = list(keys)
        self.state = "ok"
        self.fields: dict[str, Any] = {}
        self.rows_findings: dict[int, Finding] = {}
        self.rows_remedies: dict[int, RemedyRecord] = {}
        self.rows_steps: dict[int, list[Step]] = {}
        self.rows_audit: list[AuditEntry] = []
        self.rows_events: list[Event] = []
        self.rows_clones: list[CloneView] = []
        self.forget_insights()
        self.points: list[tuple[float, float, float]] = []
        self.series_now: list[SeriesNow] = []
        self.newest_tick: Tick | None = None
        self.paused: set[str | None] = set()
        self.autonomy: dict[str, str] = {}
        self.reports: list[Report] = []
        self.failure: HomeostatError | Exception | None = None
        self.reads = 0  # pages of events that were asked for
        self.ticks = 0

    # -- what a test does

    def put_event(self, kind: str, data: Any, *, database: str = KEY) -> Event:
        """Commit an event."""
        with self._changed:
            event = Event(
                sequence=len(self.rows_events) + 1,
                at=self.now(),
                kind=kind,
                database=database,
                data=msgspec.to_builtins(data),
            )
            self.rows_events.append(event)
            self._changed.notify_all()
        return event

    def put_finding(self, finding: Finding) -> None:
        """Commit a finding."""
        self.rows_findings[finding.id] = finding
        self.put_event("finding", finding)

    def put_remedy(self, remedy: RemedyRecord, *steps: Step) -> None:
        """Commit a remedy and its steps so far."""
        self.rows_remedies[remedy.id] = remedy
        if steps:
            self.rows_steps[remedy.id] = list(steps)
        self.put_event("remedy", remedy)

    def put_tick(self, tick: Tick) -> None:
        """Make this the newest tick."""
        with self._changed:
            self.newest_tick = tick
            self.ticks += 1
            self._changed.notify_all()

    def put_audit(self, action: str, subject: str, *, actor: str = "homeostat") -> None:
        """Append to the audit log."""
        self.rows_audit.append(
            AuditEntry(
                sequence=len(self.rows_audit) + 1,
                at=self.now(),
                actor=actor,
                action=action,
                database=KEY,
                subject=subject,
                detail={},
                previous="",
                hash="",
            )
        )
        self.put_event("audit", self.rows_audit[-1])

    # -- Console

    def status(self) -> Status:
        """See Console."""
        self._fail()
        return Status(
            version="0.1.0",
            state=self.state,
            detail="",
            pid=1,
            epoch=1,
            uptime_seconds=60.0,
            databases=[self._database(key) for key in self.keys],
            next_command="homeostat status",
        )

    def _database(self, key: str) -> DatabaseStatus:
        tick = self.newest_tick
        records = self.rows_remedies.values()
        why = "" if tick else "no agent has reported yet"
        fields: dict[str, Any] = {
            "key": key,
            "label": "shop.db",
            "dialect": "sqlite",
            "version": "3.54.0",
            "state": "paused" if {key, None} & self.paused else "ok",
            "since": self.now() - 3600,
            "promise_ms": 50.0,
            "p50_ms": tick.p50_ms if tick else None,
            "p99_ms": tick.p99_ms if tick else None,
            "operations_per_second": tick.operations_per_second if tick else None,
            "agents": 1 if tick else 0,
            "findings": sum(f.state == "open" for f in self.rows_findings.values()),
            "healed": sum(r.state == "kept" for r in records),
            "reverted": sum(r.state in {"reverted", "ineffective"} for r in records),
            "waiting": sum(r.state == "waiting" for r in records),
            "autonomy": self.autonomy.get("grow-pool", "approve"),
            "unknown": {} if tick else {"p99_ms": why, "p50_ms": why},
        }
        return DatabaseStatus(**{**fields, **self.fields})

    def findings(self, *, database: str | None = None, open_only: bool = True) -> list[Finding]:
        """See Console."""
        self._fail()
        found = [f for f in self.rows_findings.values() if database in {None, f.database}]
        return [f for f in reversed(found) if f.state == "open" or not open_only]

    def remedies(self, *, database: str | None = None, limit: int = 100) -> list[RemedyRecord]:
        """See Console."""
        self._fail()
        found = [r for r in self.rows_remedies.values() if database in {None, r.database}]
        return sorted(found, key=lambda r: -r.id)[:limit]

    def explain(self, name: str) -> Explained:
        """See Console."""
        self._fail()
        raise NotFoundError(where=name)

    def remedy(self, number: int) -> RemedyView:
        """See Console."""
        self._fail()
        record = self.rows_remedies.get(number)
        if record is None:
            raise NotFoundError
        offer = ["approve", "reject"]
        possible = {
            "waiting": offer,
            "observed": offer,
            "kept": ["revert"],
            "verifying": ["revert"],
        }
        return RemedyView(
            remedy=record,
            finding=self.rows_findings.get(record.finding or 0),
            run=Run(id=1, kind="remedy", version=1, database=record.database, epoch=1, started=1.0),
            steps=self.rows_steps.get(number, []),
            possible=possible.get(record.state, []),
        )

    def decide(self, number: int, decision: str, *, actor: str) -> RemedyView:
        """See Console."""
        view = self.remedy(number)
        if decision not in view.possible:
            raise DecisionRefusedError
        changes: dict[str, Any] = {
            "state": DECIDED[decision],
            "decided": self.now(),
            "decided_by": actor,
        }
        self.put_remedy(msgspec.structs.replace(view.remedy, **changes))
        self.put_audit(decision, f"remedy {number}", actor=actor)
        return self.remedy(number)

    def set_autonomy(self, key: str, autonomy: str, *, actor: str) -> None:
        """See Console."""
        self.autonomy[key] = autonomy
        self.put_audit(f"autonomy {autonomy}", key, actor=actor)

    def pause(self, *, actor: str, database: str | None = None) -> None:
        """See Console."""
        self.paused.add(database)
        self.put_audit("pause", database or "everything", actor=actor)

    def resume(self, *, actor: str, database: str | None = None) -> None:
        """See Console."""
        self.paused.discard(database)
        self.put_audit("resume", database or "everything", actor=actor)

    def detach(self, database: str, *, actor: str) -> None:
        """See Console."""
        if database not in self.keys:
            raise NotFoundError
        self.keys.remove(database)
        self.put_audit("detach", database, actor=actor)

    def clones(self, *, database: str | None = None) -> list[CloneView]:
        """See Console."""
        self._fail()
        return [one for one in self.rows_clones if database in {None, one.database}]

    def create_clone(
        self, database: str | None, *, actor: str, hours: float | None = None
    ) -> CloneView:
        """See Console."""
        self._fail()
        made = CloneView(
            name=f"person_{len(self.rows_clones)}", database=database or self.keys[0],
            label="/srv/users.db", url="/data/clones/x.db", bytes=8192, share=1.0, seconds=0.1,
            created=self.now(), expires=self.now() + 3600 * (hours or 1), owner="person",
        )  # fmt: skip
        self.rows_clones.append(made)
        self.put_audit("create clone", made.name, actor=actor)
        return made

    def drop_clone(self, name: str, *, actor: str) -> CloneView:
        """See Console."""
        for one in self.rows_clones:
            if one.name == name:
                self.rows_clones.remove(one)
                self.put_audit("drop clone", name, actor=actor)
                return one
        raise NotFoundError

    def note(self, action: str, subject: str, detail: Json, *, actor: str) -> None:  # noqa: ARG002
        self._fail()
        self.put_audit(action, subject, actor=actor)

    def series(
        self,
        database: str,
        metric: str,
        subject: str,
        *,
        start: float,
        end: float,
        points: int = 300,
    ) -> Series:
        """See Console."""
        self._fail()
        column = {"operation.p50_ms": 1, "operation.p99_ms": 2}.get(metric)
        if database not in self.keys or column is None:
            raise NotFoundError
        inside = [p for p in self.points if start <= p[0] <= end][-points:]
        return Series(
            metric=metric,
            subject=subject,
            unit="ms",
            step_seconds=10.0,
            known_since=self.points[0][0] if self.points else None,
            points=[Point(p[0], p[column], p[column], p[column]) for p in inside],
        )

    def tick(self, database: str) -> Tick:
        """See Console."""
        self._fail()
        if self.newest_tick is None or database not in self.keys:
            raise NotFoundError
        return self.newest_tick

    def readings(self, *, database: str | None = None) -> list[SeriesNow]:
        """See Console."""
        self._fail()
        return [one for one in self.series_now if database in {None, one.database}]

    def audit(self, *, limit: int = 100) -> list[AuditEntry]:
        """See Console."""
        self._fail()
        return self.rows_audit[::-1][:limit]

    def events(self, after: int, *, limit: int = 500) -> list[Event]:
        """See Console."""
        with self._changed:
            self.reads += 1
            return self.rows_events[after : after + limit]

    def wait_for_change(self, after: int, ticks: int, seconds: float) -> tuple[int, int]:
        """See Console."""
        with self._changed:
            self._changed.wait_for(
                lambda: len(self.rows_events) != after or self.ticks != ticks, seconds
            )
            return len(self.rows_events), self.ticks

    def report(self, report: Report) -> Reply:
        """See Console."""
        self._fail()
        self.reports.append(report)
        return Reply(v=1, epoch=1, next_seconds=2.0, settings=Settings(1, 60.0, {}))

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure
