"""A logbook that ends its process before or after its n-th commit, and an operator that has it.

Each commit that counts is appended to DATA/commits with what it saved.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from homeostat import main as main_module
from homeostat.clock import SystemClock
from homeostat.logbook import Logbook
from homeostat.logbook.rows import Tenure
from homeostat.main import Running
from homeostat.operate import operator as operator_module


class _Saved:
    """A transaction that remembers what was saved in it."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.saved: list[str] = []

    def __getattr__(self, name: str) -> Any:
        self.saved.append(name)
        return getattr(self.inner, name)


class DyingLogbook(Logbook):
    """Counts commits, or those that save one of `parts`, and ends its process at one of them."""

    when = ""
    at = 0
    number = 0
    parts: frozenset[str] = frozenset()
    notes: Path

    @contextmanager
    def write(self, tenure: Tenure | None) -> Iterator[Any]:
        with super().write(tenure) as tx:
            saved = _Saved(tx)
            yield saved
            counts = not self.parts or bool(self.parts & set(saved.saved))
            if counts:
                DyingLogbook.number += 1
                number = DyingLogbook.number
                with self.notes.open("a") as file:
                    file.write(f"{number} {' '.join(saved.saved)}\n")
                self._die("before", number)
        if counts:
            self._die("after", number)

    def _die(self, when: str, number: int) -> None:
        if (self.when, self.at) == (when, number):
            die()


def die() -> None:
    """End this process at once."""
    os.kill(os.getpid(), signal.SIGKILL)


def mortal(data: Path, words: list[str], *, parts: frozenset[str] = frozenset()) -> None:
    """Have the operator of this process die as the words say: `before` or `after`, a number."""
    DyingLogbook.notes = data / "commits"
    DyingLogbook.parts = parts
    if words:
        DyingLogbook.when, DyingLogbook.at = words[0], int(words[1])
    setattr(operator_module, "Logbook", DyingLogbook)  # noqa: B010  for this process only


def serve(data: Path, *, also: Callable[[Running], None] | None = None, **options: Any) -> None:
    """Run an operator until standard input ends or its lease is lost; `ready` is printed.

    Args:
        data: its data directory.
        also: runs beside it, on a thread of its own.
        options: of `main.start`.
    """
    main_module.prepare_data(data)
    main_module.log_to(data / "operator.log")
    with ExitStack() as stack:
        running = main_module.start(data, clock=SystemClock(), stack=stack, **options)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        stop = running.operator.stop_event
        threading.Thread(target=_wait, args=(stop,), daemon=True).start()
        if also is not None:
            threading.Thread(target=also, args=(running,), daemon=True).start()
        stop.wait()
        lost = running.operator.lost
    if lost is not None:
        sys.stdout.write(f"lost {lost}\n")


def _wait(stop: threading.Event) -> None:
    sys.stdin.read()
    stop.set()
