"""The demo as a person meets it: refusals, Ctrl-C, the second start, what outlives what."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from homeostat.driver import sqlite
from tests.acceptance.demo_process import USERS, Demo, demo
from tests.servers import wait_until


def children(running: Demo) -> list[psutil.Process]:
    names = ("homeostat.sample.traffic", "homeostat.sample.demo_operator", "nightly_report")
    found = []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if str(running.data) in line and any(name in line for name in names):
            found.append(process)
    return found


def asked(running: Demo, method: str, path: str) -> Any:
    """Return what the API answers."""
    link = urlsplit(running.link())
    connection = http.client.HTTPConnection(link.hostname or "", link.port or 0, timeout=10)
    token = (running.data / "token").read_text().strip()
    headers = {"Authorization": f"Bearer {token}", "X-Homeostat-Actor": "test"}
    connection.request(method, f"/api/v1/{path}", headers=headers)
    answer = connection.getresponse()
    assert answer.status == 200
    found = json.loads(answer.read())
    connection.close()
    return found


def switched_on(running: Demo) -> set[str]:
    return {one["name"] for one in asked(running, "GET", "troubles") if one["on"]}


@pytest.mark.slow
@pytest.mark.timed
def test_control_c_ends_it_with_a_stream_open_and_a_second_start_goes_on(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with demo(data, "--users", USERS) as running:
        link = urlsplit(running.link())
        running.until(r"trouble ", 60.0)
        connection = http.client.HTTPConnection(link.hostname or "", link.port or 0, timeout=10)
        token = (data / "token").read_text().strip()
        connection.request("GET", "/api/v1/events", headers={"Authorization": f"Bearer {token}"})
        assert connection.getresponse().status == 200
        assert running.interrupt() < 3.0
        assert running.exit_code == 0
        assert "Traceback" not in running.text
        connection.close()
        port = link.port
    with demo(data, "--users", USERS) as again:
        assert urlsplit(again.link()).port == port, "open pages must find it again"
        assert "found as it was" in again.text
        again.until(r"rest|found|kept|story", 60.0)


@pytest.mark.slow
def test_the_page_breaks_things_and_nothing_outlives_a_killed_demo(tmp_path: Path) -> None:
    with demo(tmp_path / "data", "--users", USERS, "--trouble", "idle-holders") as running:
        running.until(r"trouble ", 60.0)
        wait_until(lambda: switched_on(running) == {"idle-holders"}, 10.0, "the story's trouble")
        assert asked(running, "POST", "troubles/lock-holder/on")["on"]
        assert switched_on(running) == {"idle-holders", "lock-holder"}
        assert not asked(running, "POST", "troubles/lock-holder/off")["on"]
        assert asked(running, "POST", "troubles/lock-holder/on")["on"]
        actions = [(one["action"], one["actor"]) for one in asked(running, "GET", "audit")]
        assert ("trouble on", "demo") in actions
        assert ("trouble off", "test") in actions
        assert len(children(running)) >= 2
        running.kill()
        wait_until(lambda: not children(running), 10.0, "the end of the demo's processes")


def test_a_database_that_is_not_the_demos_is_refused_untouched(tmp_path: Path) -> None:
    data = tmp_path / "data"
    mine = tmp_path / "mine.db"
    wire = sqlite.connect(mine, create=True)
    wire.execute("CREATE TABLE precious (id INTEGER PRIMARY KEY)")
    wire.close()
    before = mine.read_bytes()
    with demo(data, "--url", str(mine)) as running:
        running.until(r"not empty and not the demo's own", 30.0)
        wait_until(lambda: running.exit_code is not None, 10.0, "its end")
        assert running.exit_code == 1
    assert mine.read_bytes() == before


def test_without_traffic_there_is_only_the_operator(tmp_path: Path) -> None:
    with demo(tmp_path / "data", "--users", "50", "--no-traffic") as running:
        running.until("no traffic was asked for", 60.0)
        names = [" ".join(process.cmdline()) for process in children(running)]
        assert len(names) == 1
        assert "demo_operator" in names[0]


def test_postgresql_needs_a_url(tmp_path: Path) -> None:
    with demo(tmp_path / "data", "--engine", "postgresql") as running:
        running.until("--url", 30.0)
        wait_until(lambda: running.exit_code is not None, 10.0, "its end")
        assert running.exit_code == 1
