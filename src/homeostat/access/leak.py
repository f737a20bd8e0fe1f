"""Connections that nobody gives back: who took them, and from where in the application.

The place is taken at every session and transaction (not at single operations, which give their
connection back by themselves): code objects and positions of a few frames, 1 us; words are made of
them only when somebody asks.
"""

from __future__ import annotations

import os
import sys
from types import CodeType, FrameType

LEAKS_NAMED = 5  # in one report, the longest first
LOST_TOLD_SECONDS = 60.0  # how long reports go on to tell of a lost session
FRAMES_MAX = 6
_OURS = os.path.dirname(__file__) + os.sep  # noqa: PTH120  compared with co_filename
_SKIPPED = (_OURS, str(sys.modules["contextlib"].__file__))

Place = tuple[tuple[CodeType, int], ...]
"""Code objects, and where in their bytecode they were."""
NOWHERE: Place = ()


def place() -> Place:
    """Return where the application is now: the innermost frames outside this package."""
    at: FrameType | None = sys._getframe(2)  # noqa: SLF001  the only way that costs a microsecond
    while at is not None and at.f_code.co_filename.startswith(_SKIPPED):
        at = at.f_back
    found: list[tuple[CodeType, int]] = []
    while at is not None and len(found) < FRAMES_MAX:
        found.append((at.f_code, at.f_lasti))  # finding the line takes longer than all the rest
        at = at.f_back
    return tuple(found)


def words(taken: Place) -> list[str]:
    """Return a place as `folder/file.py:line function`, the innermost first."""
    return [
        f"{'/'.join(code.co_filename.rsplit(os.sep, 2)[-2:])}:{_line(code, at)} {code.co_name}"
        for code, at in taken
    ]


def _line(code: CodeType, at: int) -> int:
    """Return the line of a position in the bytecode."""
    for begin, end, line in code.co_lines():
        if begin <= at < end and line is not None:
            return line
    return code.co_firstlineno
