"""The demo: the sample app with its traffic in one process, the operator in another, and a story.

Nothing is applied to a database that is not the demo's own. Ctrl-C ends all processes; the
data stays, and the next start goes on with it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from homeostat.cli.client import Client
from homeostat.clock import Clock, SystemClock
from homeostat.errors import ConfigError, HomeostatError, OperateError
from homeostat.main import prepare_data
from homeostat.operate.views import Status
from homeostat.sample.child import Child
from homeostat.sample.demo_config import (
    CONFIG_FILE,
    INDEX_USERS_MIN,
    clone_place,
    config_text,
    explain_windows,
    windows_for,
)
from homeostat.sample.seed import seed
from homeostat.sample.story import Story
from homeostat.sample.traffic import POOL_LIMIT, RATE_PER_SECOND
from homeostat.sample.troubles import checked_strength
from homeostat.sample.troupe import Troupe

OPERATOR_SECONDS_MAX = 30.0
FEW_USERS = (
    f"with fewer than {INDEX_USERS_MIN:,} users no index is missed: the story begins with the pool"
)
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


def _tell_page(page: str, _: Status) -> None:
    click.echo(f"page (sign-in link, good once): {page}")


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
    announce: Callable[[str, Status], None] = _tell_page,
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
        announce: called with the sign-in link and the state once it runs.

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
        there = _fill(target, users, terminal, stop)
        windows = windows_for(there)
        if stop.is_set():
            return 0
        place = clone_place(target)
        (data / CONFIG_FILE).write_text(config_text(windows, place))
        troupe = Troupe(target, data)
        stack.callback(troupe.end, clock)
        operator = troupe.start_operator(port)
        client = _reach(operator, data, clock, stop)
        for line in (*explain_windows(windows), place.sentence):
            terminal.note(line)
        announce(client.link(), client.status())
        if not traffic:
            terminal.note("no traffic was asked for; Ctrl-C ends it")
            return _wait(operator, stop)
        troupe.start_traffic()
        terminal.note(
            f"traffic: {RATE_PER_SECOND:.0f} requests a second, a pool of {POOL_LIMIT} connections"
        )
        if trouble is None and there < INDEX_USERS_MIN:
            terminal.note(FEW_USERS)
        keys = stack.enter_context(_keyboard())
        story = Story(client, troupe.switch, terminal.say, keys, clock, stop)
        story.with_index = place.there and there >= INDEX_USERS_MIN
        with contextlib.suppress(OperateError):
            story.follow(trouble) if trouble else story.tell()
        return _wait(operator, stop)


def _fill(target: str, users: int, terminal: Terminal, stop: threading.Event) -> int:
    """Make the sample app's rows, or find them; return how many users there are."""
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
    return seeded.users


def _reach(operator: Child, data: Path, clock: Clock, stop: threading.Event) -> Client:
    """Wait until the operator answers.

    Raises:
        OperateError: it ended, or did not answer in time.
    """
    until = clock.monotonic() + OPERATOR_SECONDS_MAX
    while clock.monotonic() < until and not clock.wait(stop, 0.05):
        if operator.has_ended:
            raise OperateError(operator.last_words() or f"It ended; see {data}/operator.log.")
        with contextlib.suppress(HomeostatError):
            client = Client(data)
            if client.operator.pid == operator.pid:
                client.status()
                return client
    raise OperateError(f"The operator did not answer in time. Its log is {data / 'operator.log'}.")


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


def _wait(operator: Child, stop: threading.Event) -> int:
    while not stop.wait(0.2):
        if operator.has_ended:
            raise OperateError(operator.last_words() or "The operator ended; see its log.")
    return 0
