"""The nightly report: a process that takes the write lock again and again and sits on it.

It is the trouble `lock-holder` of the sample app; `homeostat.sample.troubles` starts it. It changes
no data, ends on SIGTERM or SIGINT, and by itself when its parent has ended.

    python -m homeostat.sample.nightly_report --held-share=0.85 URL

A URL of `-` is read from the first line of standard input, so that no password is in argv.
"""

from __future__ import annotations

import argparse
import sys
import threading
from contextlib import closing

from homeostat.clock import Clock, SystemClock
from homeostat.driver.wire import Wire
from homeostat.errors import DatabaseLockedError, HomeostatError
from homeostat.sample.address import connect
from homeostat.sample.process import Parent, name_process, stop_on_signals
from homeostat.sample.schema import TABLES

BRIEF_SECONDS = 8.0  # so long it holds the lock for moments only, then for seconds
BRIEF_PERIOD_SECONDS = 0.6
LONG_PERIOD_SECONDS = 3.0  # below the application's patience for locks, so nothing fails by it
LOCK_SQL = (
    f"LOCK TABLE {', '.join(TABLES)} IN SHARE ROW EXCLUSIVE MODE"  # writers wait, readers not
)


def hold(
    wire: Wire, *, held_share: float, stop: threading.Event, parent: Parent, clock: Clock
) -> None:
    """Hold the write lock for the share of each period, until told to stop or left alone."""
    start = clock.monotonic()
    while not stop.is_set() and not parent.gone:
        brief = clock.monotonic() - start < BRIEF_SECONDS
        period_seconds = BRIEF_PERIOD_SECONDS if brief else LONG_PERIOD_SECONDS
        try:
            wire.begin(write=True)
        except DatabaseLockedError:
            continue  # the application was faster for the whole busy time-out
        try:
            if wire.dialect == "postgresql":
                wire.execute(LOCK_SQL)
            clock.wait(stop, period_seconds * held_share)
        finally:
            wire.rollback()
        clock.wait(stop, period_seconds * (1 - held_share))


def main(argv: list[str] | None = None) -> int:
    """Run it; return the exit status."""
    parser = argparse.ArgumentParser(prog="nightly-report")
    parser.add_argument("url")
    parser.add_argument("--held-share", type=float, required=True)
    parser.add_argument("--name", default="nightly-report")
    parser.add_argument("--parent", type=int, help="end with this process")
    given = parser.parse_args(argv)
    stop = threading.Event()
    parent = Parent(given.parent)
    stop_on_signals(stop)
    name_process(given.name)
    url = sys.stdin.readline().strip() if given.url == "-" else given.url
    try:
        with closing(connect(url, application_name=given.name)) as wire:
            hold(
                wire,
                held_share=given.held_share,
                stop=stop,
                parent=parent,
                clock=SystemClock(),
            )
    except HomeostatError as error:
        sys.stderr.write(f"{given.name}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
