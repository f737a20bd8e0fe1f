"""Programs read and change the operator through JSON whose shapes are those of `operate.views`."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import msgspec
import pytest

from homeostat.access.channel import Channel
from homeostat.access.protocol import (
    REPORT_BYTES_MAX,
    REPORT_PATH,
    DatabaseReport,
    Reply,
    Report,
)
from homeostat.clock import ManualClock
from homeostat.config import WebConfig
from homeostat.errors import (
    CloneRefusedError,
    ConfigError,
    CorruptDatabaseError,
    DatabaseLockedError,
    DeadlineExceededError,
    DecisionRefusedError,
    EncryptedDatabaseError,
    LogbookFullError,
    NotFoundError,
    OperateError,
    OperatorUnreachableError,
    ReportRefusedError,
    ServerUnreachableError,
    StatementError,
    TooManyRequestsError,
    UnsupportedError,
)
from homeostat.logbook.rows import AuditEntry, Finding, RemedyRecord
from homeostat.operate.views import CloneView, RemedyView, Series, Status, Tick
from homeostat.web.api import Calls
from homeostat.web.guard import UNEXPECTED
from tests.patience import joined
from tests.servers import free_port
from tests.web import scenes
from tests.web.fake import KEY, FakeConsole
from tests.web.site import TOKEN, Site, running_site, until

BEARER = {"Authorization": f"Bearer {TOKEN}"}


def report() -> Report:
    return Report(
        v=1,
        agent="shop-4711",
        boot="b1",
        sequence=1,
        database=DatabaseReport("sqlite", KEY, "shop.db", "3.54.0"),
        application="shop",
        host="here",
        pid=4711,
        capabilities=["pool.limit"],
        seconds=2.0,
        cpu_share=0.1,
        cores=2,
        pools=[],
        operations=[],
        applied_version=0,
    )


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("status", Status),
        ("findings", list[Finding]),
        (f"findings?database={KEY}&all=1", list[Finding]),
        ("remedies", list[RemedyRecord]),
        (f"remedies?database={KEY}&limit=1", list[RemedyRecord]),
        ("remedies/1", RemedyView),
        (f"series?database={KEY}&metric=operation.p99_ms", Series),
        (f"tick?database={KEY}", Tick),
        ("audit?limit=5", list[AuditEntry]),
    ],
)
def test_answers_have_the_shapes_of_the_views(
    site: Site, console: FakeConsole, path: str, shape: Any
) -> None:
    scenes.undone(console)
    answer = site.program("GET", f"/api/v1/{path}")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.decode(shape)


def test_open_findings_are_shown_unless_all_are_asked_for(site: Site, console: FakeConsole) -> None:
    scenes.undone(console)
    shown = site.program("GET", f"/api/v1/findings?database={KEY}").decode(list[Finding])
    everything = site.program("GET", "/api/v1/findings?all=1").decode(list[Finding])
    assert [one.id for one in shown] == [2]
    assert {one.id for one in everything} == {1, 2}
    assert site.program("GET", "/api/v1/findings?database=other").json() == []


def test_a_series_is_of_the_time_asked_for(site: Site, console: FakeConsole) -> None:
    now = console.now()
    console.points = [(now - 100, 1.0, 2.0), (now - 50, 3.0, 4.0), (now - 5000, 9.0, 9.0)]
    path = f"/api/v1/series?database={KEY}&metric=operation.p99_ms&start={now - 60}&end={now}"
    series = site.program("GET", path).decode(Series)
    assert [(point.at, point.mean) for point in series.points] == [(now - 50, 4.0)]


@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_a_decision_is_taken_in_the_name_of_the_caller(
    site: Site, console: FakeConsole, decision: str
) -> None:
    scenes.waiting(console)
    headers = {**BEARER, "X-Homeostat-Actor": "alice"}
    answer = site.request("POST", f"/api/v1/remedies/1/{decision}", headers=headers)
    view = answer.decode(RemedyView)
    assert view.remedy.decided_by == "alice"
    assert view.remedy.state != "waiting"


def test_a_caller_without_a_name_is_called_api(site: Site, console: FakeConsole) -> None:
    scenes.waiting(console)
    headers = {**BEARER, "X-Homeostat-Actor": "  "}
    site.request("POST", "/api/v1/remedies/1/approve", headers=headers)
    assert console.remedy(1).remedy.decided_by == "api"


def test_pausing_resuming_detaching_and_autonomy(site: Site, console: FakeConsole) -> None:
    site.program("POST", "/api/v1/pause", body={"database": KEY})
    assert console.paused == {KEY}
    site.program("POST", "/api/v1/pause")
    assert console.paused == {KEY, None}
    site.program("POST", "/api/v1/resume", body={"database": None})
    answer = site.program("POST", "/api/v1/resume", body={"database": KEY})
    assert not console.paused
    assert answer.decode(Status).databases[0].state == "ok"
    site.program("POST", "/api/v1/autonomy", body={"remedy": "grow-pool", "autonomy": "auto"})
    assert console.autonomy == {"grow-pool": "auto"}
    left = site.program("POST", "/api/v1/detach", body={"database": KEY}).decode(Status)
    assert left.databases == []


def test_clones_are_made_listed_and_dropped_in_the_name_of_the_caller(
    site: Site, console: FakeConsole
) -> None:
    made = site.program("POST", "/api/v1/clones", body={"database": KEY, "hours": 2})
    clone = made.decode(CloneView)
    assert site.program("GET", f"/api/v1/clones?database={KEY}").decode(list[CloneView]) == [clone]
    assert site.program("GET", "/api/v1/clones?database=other").json() == []
    assert site.program("POST", "/api/v1/clones", body={"hours": 0}).status == 422
    assert site.program("POST", f"/api/v1/clones/{clone.name}/drop").decode(CloneView) == clone
    assert site.program("POST", f"/api/v1/clones/{clone.name}/drop").status == 404
    console.failure = CloneRefusedError()
    assert site.program("POST", "/api/v1/clones").status == 409


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("pause", {"databases": KEY}),
        ("pause", []),
        ("detach", {}),
        ("autonomy", {"remedy": "grow-pool", "autonomy": "wild"}),
    ],
)
def test_a_body_of_another_shape_is_refused(
    site: Site, console: FakeConsole, path: str, body: object
) -> None:
    answer = site.program("POST", f"/api/v1/{path}", body=body)
    assert answer.status == 422
    assert answer.json()["kind"] == "InvalidRequestError"
    assert not console.rows_audit


def test_a_body_that_is_no_json_is_refused(site: Site, console: FakeConsole) -> None:
    for body, sent_as, status in [
        (b"{", "application/json", 400),
        (b"\xff", "application/json; charset=utf-8", 400),
        (b"database=x", "application/x-www-form-urlencoded", 415),
        (b"{}", "text/plain", 415),
    ]:
        headers = {**BEARER, "Content-Type": sent_as}
        answer = site.request("POST", "/api/v1/pause", body=body, headers=headers)
        assert answer.status == status, answer.text
        assert answer.json()["kind"] == ("RequestError" if status == 400 else "MediaTypeError")
    assert not console.paused


def test_a_parameter_that_no_route_takes_is_refused(site: Site) -> None:
    for path in ("status?databse=x", f"findings?database={KEY}&limit=5", "audit?limit=1&limit=2"):
        answer = site.program("GET", f"/api/v1/{path}")
        assert answer.status == 422, path
        assert "`" in answer.json()["error"]
    assert site.program("POST", "/api/v1/pause?database=x").status == 422


@pytest.mark.parametrize(
    "path",
    [
        "series",
        f"series?database={KEY}",
        f"series?database={KEY}&metric=m&start=nan",
        f"series?database={KEY}&metric=m&start=inf",
        f"series?database={KEY}&metric=m&start=9&end=1",
        f"series?database={KEY}&metric=m&points=0",
        f"series?database={KEY}&metric=m&points=1.5",
        "tick",
        "audit?limit=none",
        "remedies?limit=100000",
        "events?after=x",
        "events?after=-1",
    ],
)
def test_a_wrong_parameter_is_named(site: Site, path: str) -> None:
    answer = site.program("GET", f"/api/v1/{path}")
    assert answer.status == 422
    assert "`" in answer.json()["error"]


@pytest.mark.parametrize(
    ("failure", "status", "kind"),
    [
        (NotFoundError(), 404, "NotFoundError"),
        (DecisionRefusedError(), 409, "DecisionRefusedError"),
        (ConfigError("no such remedy"), 400, "ConfigError"),
        (LogbookFullError(), 503, "LogbookFullError"),
        (ServerUnreachableError("the server is down"), 503, "ServerUnreachableError"),
        (UnsupportedError("this engine cannot do it"), 409, "UnsupportedError"),
        (DatabaseLockedError("held too long"), 503, "DatabaseLockedError"),
        (DeadlineExceededError("too slow"), 503, "DeadlineExceededError"),
        (OperateError("broken"), 500, "OperateError"),
    ],
)
def test_errors_say_what_they_are(
    site: Site, console: FakeConsole, failure: Exception, status: int, kind: str
) -> None:
    console.failure = failure
    answer = site.program("GET", "/api/v1/status")
    assert (answer.status, answer.json()) == (status, {"error": str(failure), "kind": kind})


@pytest.mark.parametrize(
    "failure", [StatementError("no such column"), CorruptDatabaseError(), EncryptedDatabaseError()]
)
def test_what_does_not_pass_by_itself_is_logged_with_its_place(
    site: Site, console: FakeConsole, failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    console.failure = failure
    answer = site.program("GET", "/api/v1/status")
    assert (answer.status, answer.json()["kind"]) == (500, type(failure).__name__)
    assert "retry-after" not in answer.headers
    assert "Traceback" in caplog.text


def test_what_is_unexpected_is_logged_and_not_told(
    site: Site, console: FakeConsole, caplog: pytest.LogCaptureFixture
) -> None:
    console.failure = ValueError("a secret of the inside")
    answer = site.program("GET", "/api/v1/status")
    assert (answer.status, answer.json()["error"]) == (500, UNEXPECTED)
    assert "a secret of the inside" in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/nothing", 404),
        ("DELETE", "/api/v1/status", 405),
        ("GET", "/api/v1/pause", 405),
        ("GET", "/api/v1/remedies/99", 404),
        ("POST", "/api/v1/remedies/1/explode", 404),
    ],
)
def test_what_is_not_there_is_said_in_json(site: Site, method: str, path: str, status: int) -> None:
    answer = site.program(method, path)
    if status == 405:
        assert answer.headers["allow"]
    assert answer.status == status
    assert answer.json()["kind"] in {"NotFoundError", "RequestError"}


def test_an_agent_reports_and_is_answered(site: Site, console: FakeConsole) -> None:
    answer = site.request("POST", REPORT_PATH, body=msgspec.json.encode(report()), headers=BEARER)
    assert answer.decode(Reply).next_seconds == 2.0
    assert [one.agent for one in console.reports] == ["shop-4711"]


def test_a_refused_report_is_not_an_operator_that_is_gone(
    site: Site, console: FakeConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOMEOSTAT_URL", site.server.url)
    monkeypatch.setenv("HOMEOSTAT_TOKEN", TOKEN)
    channel = Channel(None, timeout_seconds=5.0)
    assert msgspec.json.decode(channel.post(msgspec.json.encode(report())), type=Reply).v == 1
    with pytest.raises(ReportRefusedError, match="HTTP 422"):
        channel.post(b'{"v": 2}')
    channel.close()
    monkeypatch.setenv("HOMEOSTAT_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(OperatorUnreachableError) as caught:
        channel.post(b"{}")
    assert not isinstance(caught.value, ReportRefusedError)


def test_a_report_needs_the_token_even_from_a_signed_in_browser(
    site: Site, console: FakeConsole
) -> None:
    headers = {"Cookie": site.sign_in(), "Origin": site.server.url}
    answer = site.request("POST", REPORT_PATH, body=msgspec.json.encode(report()), headers=headers)
    assert answer.status == 401
    assert not console.reports


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"{", 400, "docs/reference/routes.md"),
        (b'{"v": 1}', 422, "agent"),
        (b'{"v": 2}', 422, "version 2"),
        (b"\xff\xfe", 400, "docs/reference/routes.md"),
        (b" " * (REPORT_BYTES_MAX + 1), 413, "1,000,000"),
    ],
)
def test_a_report_that_cannot_be_taken_is_explained(
    site: Site, console: FakeConsole, body: bytes, status: int, said: str
) -> None:
    answer = site.request("POST", REPORT_PATH, body=body, headers=BEARER)
    assert answer.status == status
    assert said in answer.json()["error"]
    assert not console.reports


def test_alive_and_ready_are_open_and_tell_no_details(site: Site, console: FakeConsole) -> None:
    assert site.request("GET", "/healthz").json() == {"alive": True}
    assert site.request("GET", "/readyz").json() == {"ready": True, "reason": ""}
    console.fields = {"state": "unreachable", "label": "secret-name"}
    answer = site.request("GET", "/readyz")
    assert (answer.status, answer.json()["reason"]) == (503, "no database is observed")
    assert "secret-name" not in answer.text


@pytest.mark.parametrize("broken", ["state", "error"])
def test_without_a_logbook_it_is_alive_but_not_ready(
    site: Site, console: FakeConsole, broken: str
) -> None:
    if broken == "state":
        console.state = "logbook"
    else:
        console.failure = LogbookFullError()
    answer = site.request("GET", "/readyz")
    assert (answer.status, answer.json()["reason"]) == (503, "the logbook cannot be used")
    assert site.request("GET", "/healthz").status == 200


class SlowConsole(FakeConsole):
    """Answers `status` only when it is let."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock.now)
        self.let = threading.Event()
        self.asked = 0

    def status(self) -> Status:
        self.asked += 1
        self.let.wait(10)
        return super().status()


def test_more_than_can_wait_are_sent_away() -> None:
    let, done = threading.Event(), []

    async def ask(call: Calls) -> None:
        await call(let.wait, 10)
        done.append(1)

    async def crowd() -> None:
        call = Calls(anyio.CapacityLimiter(1), waiting_max=2)
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(ask, call)
            while call.limiter.statistics().tasks_waiting < 2:
                await anyio.lowlevel.checkpoint()
            with pytest.raises(TooManyRequestsError):
                await call(let.is_set)
            let.set()

    anyio.run(crowd)
    assert len(done) == 3


def test_who_is_sent_away_is_told_when_to_come_again(site: Site, console: FakeConsole) -> None:
    for failure, status in ((TooManyRequestsError(), 429), (LogbookFullError(), 503)):
        console.failure = failure
        answer = site.program("GET", "/api/v1/status")
        assert (answer.status, answer.headers["retry-after"]) == (status, "1")


def test_slow_calls_hold_up_neither_health_nor_agents(tmp_path: Path) -> None:
    clock = ManualClock()
    console = SlowConsole(clock)
    with running_site(console, tmp_path, clock=clock, config=WebConfig()) as site:
        waiters = [
            threading.Thread(target=site.program, args=("GET", "/api/v1/status"))
            for _ in range(30)  # more than there are threads for calls
        ]
        for waiter in waiters:
            waiter.start()
        until(lambda: console.asked >= 10)
        try:
            assert site.request("GET", "/healthz").status == 200
            body = msgspec.json.encode(report())
            assert site.request("POST", REPORT_PATH, body=body, headers=BEARER).status == 200
        finally:
            console.let.set()
            joined(*waiters)
