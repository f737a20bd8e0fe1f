"""The demo: the sample app with its traffic in one process, the operator in another, and a story.

Nothing is applied to a database that is not the demo's own. Ctrl-C ends all three processes; the
data stays, and the next start goes on with it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import msgspec

from homeostat.cli.client import Client
from homeostat.clock import Clock, SystemClock
from homeostat.config import Config
from homeostat.errors import ConfigError, HomeostatError, OperateError
from homeostat.main import prepare_data
from homeostat.sample.seed import seed
from homeostat.sample.story import Story
from homeostat.sample.traffic import POOL_LIMIT, RATE_PER_SECOND
from homeostat.sample.troubles import STRENGTHS, checked_strength

OPERATOR_SECONDS_MAX = 30.0
STOP_SECONDS = 2.5
WINDOWS: dict[str, dict[str, float | str]] = {
    "monitor": {
        "performance_seconds": 1.0,
        "health_seconds": 5.0,
        "capacity_seconds": 5.0,
        "growth_seconds": 30.0,
    },
    "operate": {
        "autonomy": "auto",
        "lease_seconds": 6.0,
        "batch_seconds": 2.0,
        "settle_seconds": 3.0,
        "cooldown_seconds": 3.0,
    },
    "agent": {"report_seconds": 0.5},
}
COLOURS = {
    "trouble": "magenta",
    "found": "yellow",
    "kept": "green",
    "ineffective": "cyan",
    "reverted": "cyan",
    "waiting": "bright_yellow",
    "approved": "green",
    "failed": "red",
    "asking": "red",
}


@dataclass(slots=True)
class Terminal:
    """Prints the story with the time since the start; with `quiet` only what one must know."""

    quiet: bool
    clock: Clock
    started: float

    def say(self, kind: str, text: str) -> None:
        """Print one line of the story."""
        if self.quiet:
            return
        passed = int(self.clock.monotonic() - self.started)
        head = click.style(f"{kind:<11}", fg=COLOURS.get(kind), bold=kind in COLOURS)
        click.echo(f"{passed // 60:2d}:{passed % 60:02d}  {head} {text}")

    def note(self, text: str) -> None:
        """Print a plain line."""
        if not self.quiet:
            click.echo(text)


def run_demo(
    *,
    users: int,
    engine: str,
    url: str | None,
    data: Path,
    port: int | None = None,
    traffic: bool = True,
    trouble: str | None = None,
    quiet: bool = False,
) -> int:
    """Run the demo until Ctrl-C; return the exit code.

    Args:
        users: how many to make in an empty database.
        engine: `sqlite` or `postgresql`; the latter needs a URL.
        url: the database; SQLite: a file, by default below the data directory.
        data: where the operator keeps its memory.
        port: of the page.
        traffic: whether to start the sample app's traffic.
        trouble: only this trouble, until the end.
        quiet: print the sign-in link only.

    Raises:
        DemoRefusedError: the database is neither empty nor the demo's own.
        ConfigError: the options do not fit together.
    """
    clock = SystemClock()
    terminal = Terminal(quiet, clock, clock.monotonic())
    if engine == "postgresql" and not url:
        raise ConfigError("PostgreSQL needs a database: give --url postgresql://host/database.")
    if trouble is not None:
        checked_strength(trouble, None)
    prepare_data(data)
    target = url or str(data / "app.db")
    stop = threading.Event()
    with ExitStack() as stack:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda _number, _frame: stop.set())
        _fill(target, users, terminal, stop)
        if stop.is_set():
            return 0
        operator = stack.enter_context(_operator(target, data, port))
        client = _reach(operator, data, clock, stop)
        for line in explain_windows():
            terminal.note(line)
        click.echo(f"page (sign-in link, good once): {client.link()}")
        if not traffic:
            terminal.note("no traffic was asked for; Ctrl-C ends it")
            return _wait(operator, stop)
        switch = stack.enter_context(_traffic(target, data, beside=operator))
        terminal.note(
            f"traffic: {RATE_PER_SECOND:.0f} requests a second, a pool of {POOL_LIMIT} connections"
        )
        keys = stack.enter_context(_keyboard())
        story = Story(client, switch, terminal.say, keys, clock, stop)
        with contextlib.suppress(OperateError):
            if trouble is None:
                story.tell()
            else:
                story.follow(trouble, STRENGTHS[trouble])
        return _wait(operator, stop)


def _fill(target: str, users: int, terminal: Terminal, stop: threading.Event) -> None:
    started = terminal.clock.monotonic()
    live = sys.stdout.isatty() and not terminal.quiet

    def progress(share: float, text: str) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        if live:
            click.echo(f"\r\x1b[Kseeding {share:4.0%}: {text}", nl=False)

    try:
        seeded = seed(target, users=users, progress=progress)
    finally:
        if live:
            click.echo("\r\x1b[K", nl=False)
    seconds = terminal.clock.monotonic() - started
    how = "found as it was" if seeded.outcome == "found" else f"{seeded.rows:,} rows made"
    terminal.note(f"sample app: {seeded.users:,} users, {how} in {seconds:.1f} s")


def explain_windows() -> list[str]:
    """Return what the demo shortens, beside what is usual."""
    usual = Config()
    lines = ["the demo shortens the windows that decisions are made on (usual values in brackets):"]
    parts = []
    for section, values in WINDOWS.items():
        for name, value in values.items():
            if isinstance(value, float):
                normal = getattr(getattr(usual, section), name)
                parts.append(f"{section}.{name} {value:g} ({normal:g})")
    lines += [f"  {', '.join(parts[i : i + 3])}" for i in range(0, len(parts), 3)]
    lines.append("remedies act by themselves here (autonomy auto); an attached database: observe")
    return lines


@contextmanager
def _operator(target: str, data: Path, port: int | None) -> Iterator[subprocess.Popen[bytes]]:
    """Start the operator in its own process; it also ends when this one does."""
    config = data / "demo.toml"
    config.write_text(config_text())
    command = [sys.executable, "-m", "homeostat.sample.demo_operator", target, str(data)]
    if port is not None:
        command.append(str(port))
    process = subprocess.Popen(  # noqa: S603  # our own module with our own interpreter
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for this process, which ends the others in order
    )
    try:
        yield process
    finally:
        _end(process)


def config_text() -> str:
    """Return the demo's configuration file."""
    lines = ["# Written by `homeostat demo` at each start: shortened windows."]
    for section, values in WINDOWS.items():
        lines.append(f"\n[{section}]")
        lines += [
            f"{name} = {msgspec.json.encode(value).decode()}" for name, value in values.items()
        ]
    return "\n".join(lines) + "\n"


def _reach(
    operator: subprocess.Popen[bytes], data: Path, clock: Clock, stop: threading.Event
) -> Client:
    """Wait until the operator answers.

    Raises:
        OperateError: it ended, or did not answer in time.
    """
    until = clock.monotonic() + OPERATOR_SECONDS_MAX
    while clock.monotonic() < until and not clock.wait(stop, 0.05):
        if operator.poll() is not None:
            stderr = operator.stderr
            said = stderr.read().decode(errors="replace").strip() if stderr else ""
            raise OperateError(
                said.removeprefix("error: ") or f"It ended; see {data}/operator.log."
            )
        with contextlib.suppress(HomeostatError):
            client = Client(data)
            if client.operator.pid == operator.pid:
                client.status()
                return client
    raise OperateError(f"The operator did not answer in time. Its log is {data / 'operator.log'}.")


@contextmanager
def _traffic(
    target: str, data: Path, *, beside: subprocess.Popen[bytes]
) -> Iterator[Callable[[str, bool, float | None], None]]:
    """Start the traffic in its own process; yield what switches troubles.

    At the end it and the process beside it are told at once, so that they end side by side.
    """
    log = (data / "traffic.log").open("ab")
    process = subprocess.Popen(  # noqa: S603  # our own module with our own interpreter
        [
            sys.executable,
            "-m",
            "homeostat.sample.traffic",
            "-",
            "--data",
            str(data),
            "--parent",
            str(os.getpid()),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=log,
        start_new_session=True,
    )
    log.close()
    pipe = process.stdin
    assert pipe is not None, "it was asked for"  # noqa: S101

    def tell(body: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):
            pipe.write(body + b"\n")
            pipe.flush()

    def switch(name: str, on: bool, strength: float | None) -> None:  # noqa: FBT001
        command: dict[str, object] = {"trouble": name, "on": on}
        if strength is not None:
            command["strength"] = strength
        tell(msgspec.json.encode(command))

    tell(target.encode())
    try:
        yield switch
    finally:
        process.terminate()
        beside.terminate()
        _end(process)


@contextmanager
def _keyboard() -> Iterator[Callable[[], str] | None]:
    """Yield what returns the keys pressed, without waiting; None without a terminal."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        yield None
        return
    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    tty.setcbreak(number)

    def pressed() -> str:
        ready, _, _ = select.select([number], [], [], 0)
        return os.read(number, 64).decode(errors="replace") if ready else ""

    try:
        yield pressed
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def _wait(operator: subprocess.Popen[bytes], stop: threading.Event) -> int:
    while not stop.wait(0.2):
        if operator.poll() is not None:
            stderr = operator.stderr
            said = stderr.read().decode(errors="replace").strip() if stderr else ""
            raise OperateError(said.removeprefix("error: ") or "The operator ended; see its log.")
    return 0


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for pipe in (process.stdin, process.stderr):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
