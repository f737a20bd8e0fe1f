"""What begins anew in a forked process: threads are not there, and locks may be held by nobody.

Whatever has threads, locks or connections of its own adds itself to FORKED. It is forgotten with
its last reference, so nothing has to be taken out again but what was ended for good.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Forked(Protocol):
    """What begins anew in a child."""

    def _after_fork(self) -> None:
        """Begin anew. Called in the child, where no other thread runs; it must not wait."""


FORKED: WeakSet[Forked] = WeakSet()


def _in_child() -> None:
    for one in list(FORKED):
        one._after_fork()  # noqa: SLF001  no part of what users call


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
