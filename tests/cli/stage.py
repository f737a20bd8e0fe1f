"""A small real HTTP server with the operator's API, and what it answers."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec

from homeostat.logbook.rows import Finding, RemedyRecord, Run, Step
from homeostat.operate.views import DatabaseStatus, Explained, PlanThen, RemedyView, Status

EXECUTABLE = Path(sys.executable).with_name("homeostat")
NOW = time.time()
TOKEN = "token-of-the-operator"


def database(key: str = "sqlite-1-2", **changes: Any) -> DatabaseStatus:
    plain: dict[str, Any] = {
        "key": key,
        "label": f"/srv/{key}/users.db",
        "dialect": "sqlite",
        "version": "3.54.0",
        "state": "ok",
        "since": NOW - 86_400,
        "promise_ms": 50.0,
        "p50_ms": 1.25,
        "p99_ms": 12.34,
        "operations_per_second": 310.0,
        "agents": 1,
        "findings": 0,
        "healed": 2,
        "reverted": 1,
        "waiting": 0,
        "autonomy": "auto",
    }
    return DatabaseStatus(**{**plain, **changes})


def status(*databases: DatabaseStatus, **changes: Any) -> Status:
    plain: dict[str, Any] = {
        "version": "0.1.0",
        "state": "ok",
        "detail": "",
        "pid": os.getpid(),
        "epoch": 3,
        "uptime_seconds": 192.0,
        "databases": list(databases),
        "next_command": "homeostat remedy list",
    }
    return Status(**{**plain, **changes})


def finding(number: int = 12, **changes: Any) -> Finding:
    plain: dict[str, Any] = {
        "id": number,
        "database": "sqlite-1-2",
        "kind": "pool",
        "name": "main",
        "rule": "pool-exhausted",
        "severity": "high",
        "what": "the pool main of shop is exhausted: 8 of 8 connections in use, mean wait 120 ms",
        "cause": "connections are held while idle by `report`, 7.9 of 8",
        "mend": "give the pool more connections",
        "opened": NOW - 200,
        "updated": NOW - 5,
    }
    return Finding(**{**plain, **changes})


def batches(values: list[float], *, load: float, mechanism: float) -> list[dict[str, float]]:
    return [{"value": value, "load": load, "mechanism": mechanism} for value in values]


def remedy(number: int = 3, **changes: Any) -> RemedyRecord:
    plain: dict[str, Any] = {
        "id": number,
        "database": "sqlite-1-2",
        "key": "size-pool",
        "resource": "pool:shop/main",
        "finding": 12,
        "run": 7,
        "state": "kept",
        "autonomy": "auto",
        "title": "let the pool main of shop hold 16 connections instead of 8",
        "why": "8 of 8 connections were in use and 5.2 callers waited",
        "parameters": {"pool": "main", "limit": 16, "limit_old": 8},
        "evidence": {"use_share": 0.99, "undo": {"limit": 8}, "troubled_since": NOW - 230},
        "verdict": "mean latency 131 -> 9.8 ms (-93%): connections above the old limit (p = 0.001)",
        "result": {
            "outcome": "better",
            "value_before": 131.0,
            "value_after": 9.8,
            "probability": 0.0011,
            "mechanism": 1.0,
            "before": batches([120.0, 131.0, 140.0], load=300.0, mechanism=0.0),
            "after": batches([9.0, 9.8, 11.5], load=303.0, mechanism=0.8),
        },
        "proposed": NOW - 190,
        "decided": NOW - 190,
        "decided_by": "homeostat",
        "applied": NOW - 120,
        "ended": NOW - 30,
    }
    return RemedyRecord(**{**plain, **changes})


def view(record: RemedyRecord | None = None, **changes: Any) -> RemedyView:
    plain: dict[str, Any] = {
        "remedy": record or remedy(),
        "finding": finding(),
        "run": Run(
            id=7, kind="remedy", version=1, database="sqlite-1-2", epoch=3, started=NOW - 190
        ),
        "steps": [
            step(1, "rehearse", observation={"ok": True, "reason": "within the limit of 64"}),
            step(2, "apply", intent={"limit": 16}, undo={"limit": 8}, observation={"seen": "done"}),
            step(3, "verify", intent={"batches": 3}),
        ],
        "possible": ["revert"],
    }
    return RemedyView(**{**plain, **changes})


def step(number: int, name: str, **changes: Any) -> Step:
    plain: dict[str, Any] = {
        "run": 7,
        "number": number,
        "name": name,
        "state": "done",
        "epoch": 3,
        "intended": NOW - 190 + 10 * number,
        "observed": NOW - 185 + 10 * number,
    }
    return Step(**{**plain, **changes})


def explained() -> Explained:
    root = {"kind": "QUERY", "children": [{"kind": "SCAN", "relation": "orders"}]}
    plan = {"dialect": "sqlite", "root": root, "shape": "0" * 16}
    found = finding(
        kind="statement",
        name="1" * 16,
        rule="slow-statement",
        what="orders_of: 40 ms each",
        cause="missing index: none is found by customer_id",
    )
    return Explained(
        database="sqlite-1-2",
        name="orders_of",
        finding=found,
        statement="1" * 16,
        text="SELECT id FROM orders WHERE customer_id = ?",
        operations=["orders_of"],
        applications=["shop"],
        source="agents",
        mean_ms=40.0,
        calls_per_second=20.0,
        cost_ms_per_second=800.0,
        late_share=0.1,
        rows_per_call=3.0,
        received_bytes_per_call=120.0,
        sent_bytes_per_call=8.0,
        waited_share=0.25,
        waited_ms_per_call=1.5,
        plan=plan,
        plans=[PlanThen(at=NOW - 60, plan=plan)],
        facts={
            "tables": {"orders": {"rows": 60000, "matching": 3}},
            "candidates": [
                {
                    "table": "orders",
                    "columns": ["customer_id"],
                    "where": None,
                    "by_value": True,
                    "matching": 3,
                    "rows": 60000,
                },
                {"table": "orders", "columns": ["placed"], "where": None, "by_value": False},
            ],
        },
        remedies=[remedy(title="build an index on orders (customer_id)")],
    )


@dataclass
class Described:
    """What the API answers with, and what was asked of it."""

    data: Path
    status: Status = field(default_factory=lambda: status(database()))
    findings: list[Finding] = field(default_factory=list)
    remedies: list[RemedyRecord] = field(default_factory=lambda: [remedy()])
    view: RemedyView = field(default_factory=view)
    explained: Explained = field(default_factory=explained)
    refuse: tuple[int, dict[str, str]] | None = None
    posted: list[tuple[str, Any]] = field(default_factory=list)

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        name = path.partition("?")[0].removeprefix("/api/v1/")
        if name == "/healthz":
            return 200, {"alive": True}
        if method == "POST":
            self.posted.append((name, json.loads(body or b"null")))
        if self.refuse is not None:
            return self.refuse
        answers: dict[str, Any] = {
            "status": self.status,
            "findings": self.findings,
            "remedies": self.remedies,
            "pause": self.status,
            "resume": self.status,
            "detach": self.status,
            "explain/3": self.explained,
            "link": {"url": "http://127.0.0.1:1/sign-in?link=once"},
        }
        if name in answers:
            return 200, answers[name]
        if name.startswith(f"remedies/{self.view.remedy.id}"):
            return 200, self.view
        return 404, {"error": "There is nothing of this number or name.", "kind": "NotFoundError"}


def serve(operator: Described) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                code, answer = 401, {"error": "sign in first", "kind": "SignInRequiredError"}
            else:
                code, answer = operator.answer(self.command, self.path, body)
            content = msgspec.json.encode(answer)
            self.send_response(code)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _handle  # noqa: N815  # the base calls them so

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base's name
            pass

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


def announce(data: Path, *, url: str, pid: int | None = None, mode: int = 0o600) -> None:
    """Write operator.json and the token as an operator does."""
    data.mkdir(mode=0o700, exist_ok=True)
    body = {"url": url, "pid": pid or os.getpid(), "started": NOW, "epoch": 3}
    (data / "operator.json").write_text(json.dumps(body))
    (data / "token").write_text(TOKEN + "\n")
    (data / "token").chmod(mode)


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


Run_ = Callable[..., Said]


def environment(data: Path | None, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in {"NO_COLOR", "HOMEOSTAT_DEBUG"}}
    if data is not None:
        kept["HOMEOSTAT_DATA"] = str(data)
    return {**kept, **(extra or {})}
