"""Connections that nobody gives back: who took them, and from where in the application.

The place is taken at every session and transaction (not at single operations, which give their
connection back by themselves): code objects and line numbers of a few frames, 1 us; words are made
of them only when somebody asks. A session that was lost, so that nobody can end it any more, is
ended from a thread of its own: the garbage collector runs anywhere, also where locks are held.
"""

from __future__ import annotations

import _thread
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from types import CodeType, FrameType, TracebackType
from typing import Any, Generic, TypeVar

LEAKS_NAMED = 5  # in one report, the longest first
LOST_TOLD_SECONDS = 60.0  # how long reports go on to tell of a lost session
FRAMES_MAX = 6
_OURS = os.path.dirname(__file__) + os.sep  # noqa: PTH120  compared with co_filename
_SKIPPED = (_OURS, str(sys.modules["contextlib"].__file__))

Place = tuple[tuple[CodeType, int], ...]
NOWHERE: Place = ()
Held = TypeVar("Held")


def place() -> Place:
    """Return where the application is now: the innermost frames outside this package."""
    at: FrameType | None = sys._getframe(2)  # noqa: SLF001  the only way that costs a microsecond
    while at is not None and at.f_code.co_filename.startswith(_SKIPPED):
        at = at.f_back
    found: list[tuple[CodeType, int]] = []
    while at is not None and len(found) < FRAMES_MAX:
        found.append((at.f_code, at.f_lineno))
        at = at.f_back
    return tuple(found)


def words(taken: Place) -> list[str]:
    """Return a place as `folder/file.py:line function`, the innermost first."""
    return [
        f"{'/'.join(code.co_filename.rsplit(os.sep, 2)[-2:])}:{line} {code.co_name}"
        for code, line in taken
    ]


# reachable, so that the collector finds the outer context only, and does not close the inner one
# where it happens to run
_entered: set[AbstractContextManager[Any]] = set()


class Watched(AbstractContextManager[Held], Generic[Held]):
    """A context that is left when it is lost: when it was entered and nobody can reach it."""

    __slots__ = ("_held", "_inner", "_lost")

    def __init__(self, inner: AbstractContextManager[Held], lost: Callable[[Held], None]) -> None:
        """Take the context itself, and what to call before it is left because it was lost."""
        self._inner = inner
        self._lost = lost
        self._held: list[Held] = []  # what was entered, until it is left

    def __enter__(self) -> Held:
        """Enter."""
        held = self._inner.__enter__()
        self._held.append(held)
        _entered.add(self._inner)
        return held

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        """Leave."""
        self._held.clear()
        _entered.discard(self._inner)
        return self._inner.__exit__(kind, error, trace)

    def __del__(self) -> None:
        """Leave from another thread, if nobody did."""
        if self._held:
            with suppress(RuntimeError):  # the interpreter is ending
                _thread.start_new_thread(_leave, (self._inner, self._lost, self._held[0]))


def _leave(inner: AbstractContextManager[Held], lost: Callable[[Held], None], held: Held) -> None:
    _entered.discard(inner)
    with suppress(Exception):
        lost(held)
    with suppress(Exception):
        inner.__exit__(GeneratorExit, GeneratorExit(), None)
