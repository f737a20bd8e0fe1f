from __future__ import annotations

import json
import re

import msgspec

from homeostat.cli.shapes import StatusReport
from tests.cli.stage import Described, Run_, database, finding, status


def test_one_screen_tells_state_promise_findings_and_what_to_run_next(
    homeostat: Run_, operator: Described
) -> None:
    operator.findings = [finding(1)]
    operator.status = status(
        database(findings=1, waiting=1, state="trouble"),
        state="trouble",
        next_command="homeostat remedy show 3",
    )
    said = homeostat("status")
    assert said.code == 0
    assert said.err == ""
    assert "trouble" in said.out.splitlines()[0]
    for part in (
        "12.3 ms of 50 ms promised",
        "2 healed, 1 reverted, 1 waiting for you",
        "8 of 8 connections in use",
        "cause: connections are held while idle by `report`",
        "next: homeostat remedy show 3",
    ):
        assert part in said.out


def test_the_pooler_has_a_line_of_its_own(homeostat: Run_, operator: Described) -> None:
    pool = {
        "name": "shop", "agent": "pgbouncer", "application": "", "limit": 4.0, "in_use_mean": 3.9,
        "use_share": 0.98, "waiting": 6.0, "wait_ms": 12.0,
    }  # fmt: skip
    operator.status = status(database(pools=[pool]))
    assert (
        "\n    pooler    PgBouncer, shop: 3.9 of 4 in use, 6 waiting 12 ms"
        in homeostat("status").out
    )
    gone = {**dict.fromkeys(pool), "name": "shop", "agent": "pgbouncer"}
    operator.status = status(database(pools=[gone]))
    assert "unknown: PgBouncer's console does not answer" in homeostat("status").out


def test_the_worst_three_findings_come_first_and_the_rest_is_counted(
    homeostat: Run_, operator: Described
) -> None:
    severities = ["info", "critical", "warning", "high", "info"]
    operator.findings = [
        finding(n, severity=severity, what=f"finding {severity} {n}")
        for n, severity in enumerate(severities)
    ]
    operator.status = status(database(findings=5))
    out = homeostat("status").out
    shown = re.findall(r"finding (\w+) \d", out)
    assert shown == ["critical", "high", "warning"]
    assert "5 open" in out


def test_what_is_not_known_is_said_with_its_reason_and_never_as_zero(
    homeostat: Run_, operator: Described
) -> None:
    reason = "no agent: open the database through homeostat.access in the application"
    names = ("p50_ms", "p99_ms", "operations_per_second")
    operator.status = status(
        database(
            p50_ms=None,
            p99_ms=None,
            operations_per_second=None,
            unknown=dict.fromkeys(names, reason),
        )
    )
    out = homeostat("status").out
    assert f"unknown: {reason}" in out
    assert "0 ms" not in out.replace("50 ms", "")


def test_it_fits_a_terminal_of_80_by_24_however_much_there_is(
    on_terminal: Run_, operator: Described
) -> None:
    long = "word " * 60
    many = [
        database(f"key-{n}", label="/a/very/long/path/" * 5, p99_ms=None, findings=9)
        for n in range(30)
    ]
    for databases in (many, many[:2], many[:1]):
        operator.findings = [
            finding(n, database=databases[n % len(databases)].key, what=long, cause=long)
            for n in range(20)
        ]
        operator.status = status(*databases, detail=long)
        lines = on_terminal("status", env={"NO_COLOR": "1"}).out.splitlines()
        assert len(lines) <= 23, "\n".join(lines)  # the prompt is the 24th
        assert max(len(line) for line in lines) <= 80, "\n".join(lines)


def test_the_worst_databases_are_the_ones_shown(homeostat: Run_, operator: Described) -> None:
    healthy = [database(f"healthy-{n}") for n in range(20)]
    operator.status = status(*healthy, database("broken", state="unreachable"))
    out = homeostat("status").out
    assert "/srv/broken/users.db" in out
    assert "13 more" in out


def test_colours_only_on_a_terminal_and_never_against_no_color(
    homeostat: Run_, on_terminal: Run_, operator: Described
) -> None:
    assert "\x1b[" in on_terminal("status").out
    assert "\x1b[" not in homeostat("status").out
    assert "\x1b[" not in on_terminal("status", env={"NO_COLOR": "1"}).out
    assert "\x1b[" not in on_terminal("status", env={"TERM": "dumb"}).out


def test_a_text_from_the_database_cannot_command_the_terminal(
    on_terminal: Run_, operator: Described
) -> None:
    operator.findings = [finding(1, what="held by \x1b]0;owned\x07\x1b[2Japp\rnext: rm -rf /")]
    out = on_terminal("status", env={"NO_COLOR": "1"}).out
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "held by" in out


def test_json_is_the_status_with_all_open_findings(homeostat: Run_, operator: Described) -> None:
    operator.findings = [finding(n, severity="info") for n in range(7)] + [finding(9)]
    report = msgspec.json.decode(homeostat("status", "--json").out, type=StatusReport)
    assert report.open_findings[0].id == 9
    assert len(report.open_findings) == 8
    assert report.databases == operator.status.databases


def test_the_next_command_means_the_same_operator(homeostat: Run_, operator: Described) -> None:
    given = homeostat("status", "--data", str(operator.data), env={"HOMEOSTAT_DATA": "/nowhere"})
    assert f"next: homeostat remedy list --data {operator.data}" in given.out
    from_environment = homeostat("status").out
    assert from_environment.splitlines()[-1] == "next: homeostat remedy list"


def test_without_data_the_only_running_operator_is_meant(
    homeostat: Run_, operator: Described
) -> None:
    shared = operator.data.parent / "homeostat"
    shared.mkdir()
    operator.data.rename(shared / "demo")
    env = {"HOMEOSTAT_DATA": "", "XDG_DATA_HOME": str(shared.parent)}
    said = homeostat("status", "--json", env=env)
    assert said.code == 0, said.err
    assert json.loads(said.out)["pid"] == operator.status.pid
    second = shared / "other"
    second.mkdir()
    for name in ("operator.json", "token"):
        (second / name).write_bytes((shared / "demo" / name).read_bytes())
    unclear = homeostat("status", env=env)
    assert unclear.code == 1
    assert f"--data {second}" in unclear.err
