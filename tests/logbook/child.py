"""What the logbook's tests run in a second process: `child.py ROLE PATH`."""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path

from homeostat.clock import SystemClock
from homeostat.config import SamplesConfig
from homeostat.driver.sqlite import connect
from homeostat.errors import OwnershipLostError
from homeostat.logbook import Logbook, SampleStore
from homeostat.logbook.rows import Finding, Owner, Run, Step
from homeostat.measure import Sample, Subject


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def holder(path: Path) -> None:
    """Claim, then write once for each line that comes in; say what came of it."""
    logbook = Logbook.open(path, clock=SystemClock())
    me = Owner(pid=2, started=2.0, host="here", boot="boot")
    tenure = logbook.claim("scope", me, lease_seconds=0.001)
    say(f"holds {tenure.epoch}")
    for _ in sys.stdin:
        try:
            with logbook.write(tenure) as tx:
                tx.audit(actor="old", action="write", database="", subject="", detail={})
        except OwnershipLostError:
            say("lost")
        else:
            say("written")


def writer(path: Path) -> None:
    """Write a finding, a run, its step and an audit entry in each transaction, for ever."""
    logbook = Logbook.open(path, clock=SystemClock())
    say("writing")
    for number in count():
        with logbook.write(None) as tx:
            found = Finding(
                database="d", rule="r", severity="high", what=str(number), opened=1.0, updated=1.0
            )
            tx.save_finding(found)
            started = tx.save_run(Run(kind="k", version=1, database="d", epoch=1, started=1.0))
            tx.save_step(Step(run=started.id, number=1, name="n", epoch=1, intended=1.0))
            tx.audit(actor="w", action="a", database="d", subject=str(number), detail={})
            tx.set_value("number", number)
        if number % 20 == 0:
            say(str(number))


def sampler(path: Path) -> None:
    """Append ticks and compact, for ever; a tick is a minute apart from the next."""
    clock = SystemClock()
    store = SampleStore.open(path, clock=clock, config=SamplesConfig())
    first = clock.now() - 86_400
    about = Subject("d")
    for number in count():
        store.append([Sample(about, f"m{i}", first + 60.0 * number, number) for i in range(20)])
        if number % 100 == 99:
            store.compact()
            say(str(number))


def locker(path: Path) -> None:
    """Hold the write lock until a line comes in."""
    wire = connect(path)
    wire.begin(write=True)
    say("locked")
    sys.stdin.readline()
    wire.rollback()
    say("released")
    sys.stdin.readline()


if __name__ == "__main__":
    {"holder": holder, "writer": writer, "sampler": sampler, "locker": locker}[sys.argv[1]](
        Path(sys.argv[2])
    )
