"""What benchmarks of running processes share: an operator as a person starts it, and its CPU time.

CPU is read from /proc, so Linux is needed. Every process is stopped by its own pid.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from homeostat.cli.client import Client
from homeostat.driver.sqlite import connect
from homeostat.errors import HomeostatError
from homeostat.secret import split_password

START_SECONDS_MAX = 40.0
STOP_SECONDS_MAX = 10.0
POLL_SECONDS = 0.02
PROGRAM = [sys.executable, "-c", "import sys; from homeostat.cli import main; sys.exit(main())"]


@dataclass(frozen=True, slots=True)
class RunningOperator:
    """An operator in its own process.

    Attributes:
        process: where it runs.
        data: its data directory.
        client: speaks to it.
        key: of the database that it observes.
        version: the engine and its version.
        output: what it prints, if that was asked for.
    """

    process: psutil.Process
    data: Path
    client: Client
    key: str
    version: str
    output: IO[bytes] | None = None

    def line(self) -> str:
        """Wait for the next line that it prints; return it."""
        if self.output is None:
            message = "its output was not asked for"
            raise RuntimeError(message)
        read = self.output.readline()
        if not read:
            message = "the operator ended"
            raise RuntimeError(message)
        return read.decode().strip()

    def cpu_seconds(self) -> float:
        """Return the CPU time of the process so far, all threads; to 0.01 s."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def resident_bytes(self) -> int:
        """Return the resident memory, shared libraries included."""
        return int(self.process.memory_info().rss)


def wait_for(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Wait until a condition is true.

    Raises:
        RuntimeError: it was not within the seconds.
    """
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            message = f"waited {seconds:g} s in vain for {what}"
            raise RuntimeError(message)
        time.sleep(POLL_SECONDS)


def on_cpu_seconds(pid: int) -> float:
    """Return the time that a process of one thread has run on a CPU, to the nanosecond.

    The counters of /proc/PID/stat move in steps of 10 ms, which is more than a tick of monitoring
    takes; schedstat has what they are made from (kernel, Documentation/scheduler/sched-stats.rst).
    """
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
    except FileNotFoundError:
        times = psutil.Process(pid).cpu_times()
        return float(times.user + times.system)


def stop(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    """End a process: ask first, then insist."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def operator(
    url: str, data: Path, *, command: list[str] | None = None, stdout: int = subprocess.DEVNULL
) -> Iterator[RunningOperator]:
    """Run `homeostat up URL --data DATA` with no configuration.

    Args:
        url: the database; a password in it is given by the environment.
        data: its data directory.
        command: what to run instead of `homeostat up`; the two are appended.
        stdout: `subprocess.PIPE` to read what it prints.
    """
    bare, password = split_password(url)
    environment = dict(os.environ)
    if password is not None:
        environment["PGPASSWORD"] = password
    words = [*command, bare, str(data)] if command else [*PROGRAM, "up", bare, "--data", str(data)]
    process = subprocess.Popen(
        words,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        start_new_session=True,
    )
    try:
        yield _reached(process, data)
    finally:
        stop(process)
        if process.stdout is not None:
            process.stdout.close()


def _reached(process: subprocess.Popen[bytes], data: Path) -> RunningOperator:
    found: list[RunningOperator] = []

    def answers() -> bool:
        if process.poll() is not None:
            message = f"the operator ended with {process.returncode}"
            raise RuntimeError(message)
        with suppress(HomeostatError):
            client = Client(data)
            if client.operator.pid == process.pid:
                one = client.status().databases[0]
                version = f"{one.dialect} {one.version}"
                running = psutil.Process(process.pid)
                found.append(
                    RunningOperator(running, data, client, one.key, version, process.stdout)
                )
        return bool(found)

    wait_for(answers, START_SECONDS_MAX, "the operator to answer")
    return found[0]


def small_sqlite(path: Path) -> str:
    """Make an application's database with one row; return its path."""
    with closing(connect(path, create=True)) as wire:
        wire.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, text TEXT)")
        wire.execute("INSERT INTO item VALUES (1, 'some text')")
    return str(path)
