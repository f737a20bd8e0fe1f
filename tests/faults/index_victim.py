"""An operator that tunes, and kills itself before or after its n-th commit of a remedy.

    python -m tests.faults.index_victim URL DATA [before|after N]

Each such commit is appended to DATA/commits.
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
from urllib.parse import urlsplit

import msgspec

from homeostat import main as main_module
from homeostat.clock import SystemClock
from homeostat.config import CloneConfig, Config
from homeostat.logbook import Logbook
from homeostat.logbook.rows import Tenure
from homeostat.operate import operator as operator_module
from tests.tune.shop import CONFIG

PARTS = {"save_remedy", "save_step"}
QUICK = msgspec.structs.replace(
    CONFIG.operate,
    verify_batches=4,
    batch_seconds=0.25,
    settle_seconds=0.3,
    remedies={"analyse-table": "auto"},
)


class _Saved:
    """A transaction that remembers what was saved in it."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.saved: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        self.saved.add(name)
        return getattr(self.inner, name)


class DyingLogbook(Logbook):
    """Counts the commits of remedies and ends its process at one of them."""

    when = ""
    at = 0
    number = 0
    notes: Path

    @contextmanager
    def write(self, tenure: Tenure | None) -> Iterator[Any]:
        with super().write(tenure) as tx:
            saved = _Saved(tx)
            yield saved
            counts = bool(PARTS & saved.saved)
            if counts:
                DyingLogbook.number += 1
                with self.notes.open("a") as file:
                    file.write(f"{DyingLogbook.number}\n")
                self._die("before")
        if counts:
            self._die("after")

    def _die(self, when: str) -> None:
        if (self.when, self.at) == (when, self.number):
            os.kill(os.getpid(), signal.SIGKILL)


def config_for(url: str) -> Config:
    """Return the configuration; clones of a PostgreSQL database go to its own server."""
    config = msgspec.structs.replace(CONFIG, operate=QUICK)
    if "://" not in url:
        return config
    parts = urlsplit(url)
    clone = CloneConfig(url=parts._replace(path="/postgres").geturl())
    return msgspec.structs.replace(config, clone=clone)


def main() -> None:
    url, data = sys.argv[1], Path(sys.argv[2])
    DyingLogbook.notes = data / "commits"
    if sys.argv[3:]:
        DyingLogbook.when, DyingLogbook.at = sys.argv[3], int(sys.argv[4])
    setattr(operator_module, "Logbook", DyingLogbook)  # noqa: B010  # for this process only
    main_module.prepare_data(data)
    main_module.log_to(data / "operator.log")
    clock, config = SystemClock(), config_for(url)
    with ExitStack() as stack:
        running = main_module.start(data, url=url, config=config, clock=clock, stack=stack)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        threading.Thread(target=_wait, args=(running.operator.stop_event,), daemon=True).start()
        running.operator.stop_event.wait()


def _wait(stop: threading.Event) -> None:
    sys.stdin.read()
    stop.set()


if __name__ == "__main__":
    main()
