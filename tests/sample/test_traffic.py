"""Traffic: an open loop that counts everything, as a thread pool and as its own process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from homeostat.access import Database
from homeostat.sample.counts import Second
from homeostat.sample.traffic import Traffic, TrafficOptions
from homeostat.sample.troubles import REPORT_NAME
from tests.patience import line_of
from tests.servers import wait_until


@contextmanager
def traffic(
    url: str, *, pool: int = 4, lock_wait_ms: float = 5_000.0, **options: float
) -> Iterator[tuple[Traffic, Database]]:
    database = Database.open(url, pool=pool, agent=None, lock_wait_ms=lock_wait_ms)
    made = Traffic(database, url=url, options=TrafficOptions(**options))  # type: ignore[arg-type]
    made.start()
    try:
        yield made, database
    finally:
        made.stop()


def gathered(running: Traffic, enough: Callable[[list[Second]], bool]) -> list[Second]:
    """Return reports taken until they are enough."""
    found: list[Second] = []

    def look() -> bool:
        found.append(running.report())
        return enough(found)

    wait_until(look, seconds=20, what="enough traffic")
    return found


def test_all_requests_succeed_at_an_ordinary_rate(seeded_url: str) -> None:
    with traffic(seeded_url, rate_per_second=300, queue_max=10_000) as (running, _):
        found = gathered(running, lambda all_: sum(one.completed for one in all_) >= 300)
    assert sum(one.failed + one.dropped for one in found) == 0
    assert any(one.p99_ms is not None for one in found)


def test_what_does_not_fit_is_dropped_and_everything_is_counted(seeded_url: str) -> None:
    with traffic(seeded_url, pool=1, workers=2, queue_max=2, rate_per_second=100) as (running, _):
        running.set_trouble("idle-holders", on=True, strength=0.5)
        found = gathered(running, lambda all_: sum(one.dropped for one in all_) >= 20)
    ended = sum(one.completed + one.failed + one.dropped for one in found)
    assert sum(one.offered for one in found) == ended + found[-1].waiting
    assert found[-1].waiting <= 4
    assert sum(one.failed for one in found) == 0


def test_latency_counts_from_the_intended_arrival(seeded_url: str) -> None:
    """One worker, slow partner on every second request: the fast ones behind it waited for it."""
    with traffic(seeded_url, pool=1, workers=1, queue_max=50, rate_per_second=40) as (running, _):
        running.set_trouble("idle-holders", on=True, strength=0.5)
        found = gathered(running, lambda all_: any((one.p50_ms or 0) > 150 for one in all_))
    assert sum(one.slow for one in found) > 0


def test_writers_that_give_up_on_a_lock_are_counted_by_name(seeded_url: str) -> None:
    with traffic(seeded_url, pool=8, lock_wait_ms=50, rate_per_second=100) as (running, _):
        running.set_trouble("lock-holder", on=True, strength=0.9)
        found = gathered(running, lambda all_: sum(one.failed for one in all_) >= 5)
        names = {name for one in found for name in one.failures}
        assert names == {"DatabaseLockedError"}
        running.set_trouble("lock-holder", on=False)
        gathered(running, lambda all_: any(one.completed and not one.failed for one in all_))


Start = Callable[..., subprocess.Popen[str]]
END_SECONDS_MAX = 30  # of a process that has to end; a busy machine takes its time


# -- the process ------------------------------------------------------------------------------


def command(url: str, data: Path, *more: str) -> list[str]:
    return [
        *(sys.executable, "-m", "homeostat.sample.traffic", url, "--data", str(data)),
        *("--rate", "60", *more),
    ]


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Return what starts the traffic process; it is gone after the test."""
    processes = []

    def started(url: str, data: Path, *more: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command(url, data, *more),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield started
    for process in processes:
        process.kill()
        if process.stdout is not None and not process.stdout.closed:
            process.communicate(timeout=END_SECONDS_MAX)


def say(process: subprocess.Popen[str], what: object) -> dict[str, object]:
    """Send a command and return its answer."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(what) + "\n")
    process.stdin.flush()
    for line in process.stdout:
        found: dict[str, object] = json.loads(line)
        if "trouble" in found or "error" in found:
            return found
    raise AssertionError("the process ended without an answer")


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for the end; return the status and what was said on stderr."""
    _, errors = process.communicate(timeout=END_SECONDS_MAX)
    return process.returncode, errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_reports_every_second_and_stops_when_told(
    seeded_url: str, tmp_path: Path, number: signal.Signals, start: Start
) -> None:
    process = start(seeded_url, tmp_path, "--json")
    assert process.stdout is not None
    second = json.loads(line_of(process.stdout))
    assert set(second) == {*Second.__struct_fields__}
    assert 0.5 < second["seconds"] < 3.0, "a busy machine may delay it"
    assert 20 < second["offered"] < 120
    process.send_signal(number)
    assert ended(process) == (0, "")


def test_the_process_ends_after_its_time_and_says_nothing_unasked(
    seeded_url: str, tmp_path: Path, start: Start
) -> None:
    process = start(seeded_url, tmp_path, "--seconds", "1")
    output, errors = process.communicate(timeout=10)
    assert (process.returncode, output) == (0, "")
    assert "Traceback" not in errors


def test_the_url_may_come_by_standard_input(seeded_url: str, tmp_path: Path, start: Start) -> None:
    process = start("-", tmp_path, "--json")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(seeded_url + "\n")
    process.stdin.flush()
    assert json.loads(line_of(process.stdout))["completed"] > 0
    assert seeded_url not in " ".join(psutil.Process(process.pid).cmdline())
    process.terminate()
    assert ended(process) == (0, "")


def test_commands_start_and_stop_troubles(seeded_url: str, tmp_path: Path, start: Start) -> None:
    process = start(seeded_url, tmp_path, "--json")
    state = say(process, {"trouble": "idle-holders", "on": True, "strength": 0.3})
    assert state == {"trouble": "idle-holders", "on": True, "strength": 0.3, "pid": None}
    assert "error" in say(process, {"trouble": "flood", "on": True})
    assert "error" in say(process, {"trouble": "idle-holders", "on": True, "strength": 7})
    assert "error" in say(process, ["what"])
    state = say(process, {"trouble": "lock-holder", "on": True})
    holder = psutil.Process(int(str(state["pid"])))
    wait_until(lambda: holder.name() == REPORT_NAME, what="the report's name")
    state = say(process, {"trouble": "lock-holder", "on": False})
    assert state["pid"] is None
    assert not holder.is_running()
    process.terminate()
    assert ended(process) == (0, "")


def test_nothing_outlives_a_killed_traffic_process(
    seeded_url: str, tmp_path: Path, start: Start
) -> None:
    process = start(seeded_url, tmp_path, "--json")
    state = say(process, {"trouble": "lock-holder", "on": True})
    holder = psutil.Process(int(str(state["pid"])))
    process.kill()
    process.communicate(timeout=END_SECONDS_MAX)
    wait_until(
        lambda: not holder.is_running(), seconds=END_SECONDS_MAX, what="the end of the lock holder"
    )


def test_the_process_ends_with_its_parent(seeded_url: str, tmp_path: Path) -> None:
    script = "import subprocess, sys; p = subprocess.Popen(sys.argv[1:]); print(p.pid); p.wait()"
    parent = subprocess.Popen(
        [sys.executable, "-u", "-c", script, *command(seeded_url, tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    child = psutil.Process(int(line_of(parent.stdout)))
    wait_until(lambda: child.name().startswith("persona"), what="the start of the traffic")
    parent.kill()
    parent.communicate(timeout=END_SECONDS_MAX)
    wait_until(
        lambda: not child.is_running(), seconds=END_SECONDS_MAX, what="the end of the traffic"
    )


def test_a_missing_database_is_a_sentence_not_a_traceback(tmp_path: Path, start: Start) -> None:
    process = start(str(tmp_path / "none.db"), tmp_path)
    status, errors = ended(process)
    assert status == 1
    assert "Traceback" not in errors
    assert "none.db" in errors
    assert list(tmp_path.iterdir()) == []
