"""A remedy is the only way Homeostat changes a managed database or its application's settings.

It declares what it does, how it is undone, how it is rehearsed and what it must show to be kept.
The five moves themselves (propose, rehearse, apply, verify, keep or revert), their order, their
durability and their undoing are `operate.run`'s, the same for every remedy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from homeostat.access.protocol import CallSample, Settings
from homeostat.driver.wire import Wire
from homeostat.engine.engine import Engine
from homeostat.engine.facets import CloneInfo
from homeostat.engine.pace import UNBOUNDED, Bounds
from homeostat.logbook.rows import Finding, Json
from homeostat.operate.rule import View
from homeostat.operate.verify import Batch, Demand

Undo = Literal["exact", "compensating", "none"]
Rehearsal = Literal["clone", "dry run", "none"]
Seen = Literal["done", "not done", "cannot tell"]


@dataclass(frozen=True, slots=True)
class Resource:
    """What a remedy needs for itself, or shares; e.g. ("pool", "shop/main", exclusive)."""

    kind: str
    name: str
    exclusive: bool = True

    @property
    def label(self) -> str:
        """Return `kind:name`."""
        return f"{self.kind}:{self.name}"

    def conflicts(self, other: Resource) -> bool:
        """Return whether the two cannot be held at once."""
        return self.label == other.label and (self.exclusive or other.exclusive)


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a remedy would do about a finding.

    Attributes:
        resource: what it would act on.
        title: what it would do, in one line.
        why: the reason, in one sentence with numbers.
        parameters: all that apply and observe need; JSON.
        evidence: what speaks for it; JSON.
        likeness: equal for evidence that is alike: what did not help is not tried again on it.
        troubled_since: from when on the trouble was there; batches before are counted from here.
    """

    resource: Resource
    title: str
    why: str
    parameters: Json
    evidence: Json
    likeness: str
    troubled_since: float


@dataclass(frozen=True, slots=True)
class Declined:
    """The remedy does not fit this finding now, and why; shown with the finding."""

    reason: str


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What the rehearsal showed.

    `later`: it could not be rehearsed yet (an application that has to report first, say) and is
    tried again for a while.
    """

    ok: bool
    reason: str
    evidence: Json = field(default_factory=dict)
    later: bool = False


def owner_of(run: int) -> str:
    """Return the name under which a run makes clones."""
    return f"run {run}"


class Hands(Protocol):
    """What a remedy may act with; every write is refused once ownership is lost."""

    @property
    def engine(self) -> Engine:
        """The database, for reading and for its clones."""
        ...

    @property
    def run(self) -> int:
        """The run that these hands work for."""
        ...

    def for_run(self, run: int, *, bounds: Bounds = UNBOUNDED) -> Hands:
        """Return hands that work for a run, and copy the database within bounds."""
        ...

    def make_clone(self) -> CloneInfo:
        """Copy the database for the run, whose name the clone bears.

        Raises:
            CloneRefusedError: there can be no copy, or the bounds ended it.
            DatabaseError: a server could not be asked.
        """
        ...

    def on_clone(self, name: str) -> AbstractContextManager[Wire]:
        """Yield a connection to a clone, until the bounds say that it is not wanted any more.

        Raises:
            CloneRefusedError: it is not; says why.
            DatabaseError: the clone cannot be opened.
        """
        ...

    def view(self) -> View:
        """Return what is known now."""
        ...

    def captured(self) -> Sequence[tuple[str, CallSample]]:
        """Return captured calls of the database with their statements' keys, the oldest first."""
        ...

    def keep_undo(self, body: bytes) -> None:
        """Keep what the run needs to undo its change, where it may hold values: encrypted, bounded.

        Raises:
            HomeostatError: it was not kept, so nothing may be changed.
        """
        ...

    def kept_undo(self) -> bytes | None:
        """Return what was kept; None: it went with `captures.keep_hours`."""
        ...

    def settings_of(self, application: str) -> Settings:
        """Return the settings that agents of an application are to have."""
        ...

    def work(
        self, *, run: int, lock: str, seconds: float | None = None
    ) -> AbstractContextManager[Wire]:
        """Yield a direct connection to change the database on, under a named lock.

        `seconds`: how long one statement may take; None: less than the lease. A longer one needs
        that a successor ends it (PostgreSQL: by the session's name).
        """
        ...

    def set_settings(self, application: str, values: Mapping[str, float | int | str | bool]) -> int:
        """Give agents of an application these values (all of them); return the version."""
        ...


class Remedy(Protocol):
    """One way to mend one kind of finding."""

    @property
    def key(self) -> str:
        """The name in configuration, CLI and logbook."""
        ...

    @property
    def help(self) -> str:
        """What it does, for the reference."""
        ...

    @property
    def rules(self) -> Sequence[str]:
        """The rules whose findings it may mend."""
        ...

    @property
    def undo(self) -> Undo:
        """How it is undone."""
        ...

    @property
    def rehearsal(self) -> Rehearsal:
        """How it is rehearsed."""
        ...

    @property
    def rehearsal_reason(self) -> str:
        """Why it is rehearsed this way."""
        ...

    @property
    def demand(self) -> Demand:
        """What it must show to be kept."""
        ...

    def propose(self, finding: Finding, view: View) -> Proposal | Declined:
        """Return what it would do about an open finding."""
        ...

    def rehearse(self, parameters: Json, hands: Hands) -> Rehearsed:
        """Try it without changing anything that is in use."""
        ...

    def undo_of(self, parameters: Json, hands: Hands) -> Json:
        """Return what revert will need; committed with the intent, before the effect."""
        ...

    def apply(self, parameters: Json, hands: Hands) -> None:
        """Make the change; called again after an interruption unless it is seen done.

        Raises:
            HomeostatError: it could not be made; what was made is undone by `revert`.
        """
        ...

    def observe(self, parameters: Json, hands: Hands) -> Seen:
        """Look whether the change is in force."""
        ...

    def revert(self, parameters: Json, undo: Json, hands: Hands) -> None:
        """Undo the change; harmless when it was never made or already undone."""
        ...

    def observe_undone(self, parameters: Json, undo: Json, hands: Hands) -> Seen:
        """Look whether the change is gone."""
        ...

    def measure(self, parameters: Json, view: View, *, start: float, end: float) -> Batch | None:
        """Return what happened with start < time <= end; None when nothing was measured."""
        ...

    def explain(self, parameters: Json, view: View) -> str:
        """Say why it may not have helped, from what is seen now; empty when nothing is."""
        ...
