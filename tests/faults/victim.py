"""An operator that kills itself before or after its n-th logbook commit.

    python -m tests.faults.victim URL DATA [before|after N] [--elsewhere]

Each commit is appended to DATA/commits with what it saved. --elsewhere: it believes to run on
another host, so that it can't end the process of the operator before.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from homeostat import main as main_module
from homeostat.clock import SystemClock
from homeostat.config import AgentConfig, Config, MonitorConfig, OperateConfig
from homeostat.logbook import Logbook
from homeostat.logbook.rows import Tenure
from homeostat.operate import operator as operator_module
from homeostat.operate.ownership import this_process

CONFIG = Config(
    monitor=MonitorConfig(performance_seconds=0.2, health_seconds=1.0, agent_silent_seconds=3.0),
    operate=OperateConfig(
        autonomy="auto",
        lease_seconds=2.0,
        verify_batches=6,
        batch_seconds=0.25,
        settle_seconds=0.3,
        cooldown_seconds=600.0,
    ),
    agent=AgentConfig(report_seconds=0.1),
)


class _Saved:
    """A transaction that remembers what was saved in it."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.saved: list[str] = []

    def __getattr__(self, name: str) -> Any:
        self.saved.append(name)
        return getattr(self.inner, name)


class DyingLogbook(Logbook):
    """Counts commits and ends its process at one of them."""

    when = ""
    at = 0
    number = 0
    notes: Path

    @contextmanager
    def write(self, tenure: Tenure | None) -> Iterator[Any]:
        with super().write(tenure) as tx:
            saved = _Saved(tx)
            yield saved
            DyingLogbook.number += 1
            number = DyingLogbook.number
            with self.notes.open("a") as file:
                file.write(f"{number} {' '.join(saved.saved)}\n")
            self._die("before", number)
        self._die("after", number)

    def _die(self, when: str, number: int) -> None:
        if (self.when, self.at) == (when, number):
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    url, data = sys.argv[1], Path(sys.argv[2])
    words = [word for word in sys.argv[3:] if not word.startswith("--")]
    DyingLogbook.notes = data / "commits"
    if words:
        DyingLogbook.when, DyingLogbook.at = words[0], int(words[1])
    setattr(operator_module, "Logbook", DyingLogbook)  # noqa: B010  # for this process only
    if "--elsewhere" in sys.argv:
        owner = msgspec.structs.replace(this_process(str(data)), host="elsewhere")
        setattr(operator_module, "this_process", lambda label: owner)  # noqa: B010, ARG005
    main_module.prepare_data(data)
    main_module.log_to(data / "operator.log")
    with ExitStack() as stack:
        running = main_module.start(data, url=url, config=CONFIG, clock=SystemClock(), stack=stack)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        threading.Thread(target=_wait, args=(running.operator.stop_event,), daemon=True).start()
        running.operator.stop_event.wait()
        lost = running.operator.lost
    if lost is not None:
        sys.stdout.write(f"lost {lost}\n")


def _wait(stop: threading.Event) -> None:
    sys.stdin.read()
    stop.set()


if __name__ == "__main__":
    main()
