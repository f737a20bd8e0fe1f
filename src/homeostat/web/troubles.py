"""What can be broken on purpose: the troubles of the demo's sample app.

Only the demo's operator has any; every other one answers that there is nothing to switch. Who may
decide on remedies may switch them, and it is written to the audit log who did.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from homeostat.errors import NotFoundError
from homeostat.operate.views import Console


class TroubleView(msgspec.Struct, frozen=True):
    """A trouble as it is now.

    Attributes:
        name: e.g. `dropped-index`.
        what: what it does to the sample app, in words.
        outcome: what Homeostat will do about it, in a sentence.
        on: whether it is on.
        strength: how strong it is; None: it is off.
    """

    name: str
    what: str
    outcome: str
    on: bool
    strength: float | None = None


class Troubles(Protocol):
    """What can be broken; its methods may be called from any thread."""

    def attach(self, console: Console) -> None:
        """Take the operator, whose audit log is to tell who switched what."""
        ...

    def list(self) -> list[TroubleView]:
        """Return all troubles, as they are now; none as long as no traffic runs."""
        ...

    def switch(self, name: str, *, on: bool, actor: str) -> TroubleView:
        """Switch one, return it as it is then.

        Raises:
            NotFoundError: there is no such trouble.
            OperateError: the sample app does not answer.
        """
        ...


class NoTroubles:
    """What every operator has but the demo's."""

    def attach(self, console: Console) -> None:
        """Do nothing: nothing will be switched."""

    def list(self) -> list[TroubleView]:
        """Return none."""
        return []

    def switch(self, name: str, *, on: bool, actor: str) -> TroubleView:  # noqa: ARG002
        """Refuse.

        Raises:
            NotFoundError: always.
        """
        message = "Nothing can be broken here: only `homeostat demo` has troubles."
        raise NotFoundError(message, where=name)
