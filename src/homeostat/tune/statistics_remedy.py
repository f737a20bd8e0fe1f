"""Refresh the statistics by which the planner chose a bad plan.

On SQLite a clone is analysed and its statistics rows are installed, which takes milliseconds; the
rows that were there before are the exact undo. Every connection, also one without an agent, takes
them over at its next statement, because the schema's version goes up with them. On PostgreSQL it is
ANALYZE; up to version 17 that cannot be undone exactly, so it is never done without being allowed
by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec

from homeostat.config import TuneConfig
from homeostat.driver.wire import Wire
from homeostat.engine.engine import Unsupported
from homeostat.engine.facets import Maintain
from homeostat.errors import DatabaseError, UnsupportedError
from homeostat.logbook.rows import Finding, Json
from homeostat.measure import Unknown
from homeostat.operate.remedy import (
    Declined,
    Hands,
    Proposal,
    Rehearsal,
    Rehearsed,
    Resource,
    Seen,
    Undo,
)
from homeostat.operate.rule import View, brief
from homeostat.operate.verify import Batch, Demand
from homeostat.tune.causes import STALE_STATISTICS
from homeostat.tune.rehearsal import refusal, remove_leftovers
from homeostat.tune.replay import choose, compare_sides, replay
from homeostat.tune.slow import SLOW, statement_of

RELOAD = "homeostat_reload"  # made and dropped in one transaction: it raises the schema's version
UNDO_BYTES_MAX = 5_000_000  # of statistics that are kept to be put back: some 100 wide columns
GIVES_STATISTICS = 18  # from this version of PostgreSQL on statistics can be put back
FRESH_FACTOR = 2.0  # statistics this near to the rows that were counted are the new ones


@dataclass(frozen=True, slots=True)
class _Refresh:
    """What both engines share."""

    config: TuneConfig = TuneConfig()  # noqa: RUF009  # frozen
    rules: Sequence[str] = (SLOW,)
    dialect: str = ""

    @property
    def demand(self) -> Demand:
        """The statement's mean time must fall, with another plan."""
        return Demand(
            name="mean time of the statement",
            unit="ms",
            reduction_min=self.config.index_benefit_share,
            mechanism="its plan changed",
            mechanism_min=0.5,
        )

    def propose(self, finding: Finding, view: View) -> Proposal | Declined:
        """Propose it where statistics are the cause."""
        evidence = finding.evidence
        if evidence.get("cause") != STALE_STATISTICS or "table" not in evidence:
            return Declined("its statistics are not stale by what is known")
        if view.identity.dialect != self.dialect:
            return Declined(f"it is for {self.dialect}")
        one = statement_of(finding, view)
        if one is None or not one.spent.calls or not one.plans:
            return Declined("the statement does not run at this moment")
        table = str(evidence["table"])
        return Proposal(
            resource=Resource("statistics", table),
            title=f"refresh the statistics of {table} for {brief(one.name)}",
            why=f"{finding.what}. {finding.cause}",
            parameters={
                "table": table,
                "statement": finding.name,
                "shape": one.plans[-1].plan.shape,
                "rows": evidence["tables"][table]["rows"],
            },
            evidence={"cause": finding.cause},
            likeness=f"{finding.name} {table}",
            troubled_since=float(evidence.get("since", finding.opened)),
        )

    def measure(self, parameters: Json, view: View, *, start: float, end: float) -> Batch | None:
        """Return the statement's mean time, calls a second, and whether its plan changed."""
        one = view.statements.view(str(parameters["statement"]), start=start, end=end)
        if one is None or not one.spent.calls:
            return None
        shapes = [seen.plan.shape for seen in one.plans if seen.at <= end]
        changed = bool(shapes) and shapes[-1] != parameters["shape"]
        return Batch(one.mean_ms, one.spent.calls / one.seconds, float(changed))

    def explain(self, parameters: Json, view: View) -> str:
        """Say whether the plan changed at all."""
        one = view.statements.view(str(parameters["statement"]), start=0.0, end=view.at)
        same = one is not None and one.plans and one.plans[-1].plan.shape == parameters["shape"]
        return "its plan is still the same" if same else ""

    def observe(self, parameters: Json, hands: Hands) -> Seen:
        """Look whether statistics now say about as many rows as were counted."""
        tables = _maintain(hands).tables()
        said = next((one.rows for one in tables if one.name == parameters["table"]), None)
        if said is None or isinstance(said, Unknown):
            return "not done"
        apart = max(said, 1.0) / max(float(parameters["rows"] or 1.0), 1.0)
        return "done" if max(apart, 1 / apart) <= FRESH_FACTOR else "not done"


@dataclass(frozen=True, slots=True)
class RefreshStatistics(_Refresh):
    """SQLite: analyse a clone, install its rows."""

    dialect: str = "sqlite"
    key: str = "refresh-statistics"
    help: str = (
        "SQLite: analyses a clone and installs its statistics rows, when a slow statement's plan "
        "comes from statistics that misjudge its table. Rehearsed by replaying captured calls; "
        "kept only when the statement became faster with another plan."
    )
    undo: Undo = "exact"
    rehearsal: Rehearsal = "clone"
    rehearsal_reason: str = (
        "New statistics change the plans of all statements of a table; the clone shows how."
    )

    def rehearse(self, parameters: Json, hands: Hands) -> Rehearsed:
        """Replay captured calls with the old statistics and with new ones."""
        remove_leftovers(hands)
        tune, table = self.config, str(parameters["table"])
        chosen = choose(
            hands.captured(), table=table, dialect=self.dialect, calls_max=tune.replay_calls_max
        )
        with _cloned(hands) as wire:
            before = replay(wire, chosen.calls, seconds=tune.replay_seconds)
            _maintain(hands).refresh_statistics([table], wire=wire)
            wire.execute("ANALYZE sqlite_schema")
            after = replay(wire, chosen.calls, seconds=tune.replay_seconds)
        compared = compare_sides(chosen.calls, before, after)
        return refusal(str(parameters["statement"]), compared, chosen, hands)

    def undo_of(self, parameters: Json, hands: Hands) -> Json:  # noqa: ARG002  # the protocol
        """Return all statistics rows that are there."""
        with hands.engine.transaction() as wire:
            return {"rows": _maintain(hands).read_statistics(wire=wire)}

    def apply(self, parameters: Json, hands: Hands) -> None:
        """Analyse a clone and install its rows."""
        maintain = _maintain(hands)
        with _cloned(hands) as wire:
            maintain.refresh_statistics([str(parameters["table"])], wire=wire)
            rows = maintain.read_statistics(wire=wire)
        self._install(rows, hands)

    def revert(self, parameters: Json, undo: Json, hands: Hands) -> None:  # noqa: ARG002
        """Install the rows that were there before."""
        self._install(undo["rows"], hands)

    def observe_undone(self, parameters: Json, undo: Json, hands: Hands) -> Seen:  # noqa: ARG002
        """Look whether the rows are those that were there before."""
        with hands.engine.transaction() as wire:
            now = _maintain(hands).read_statistics(wire=wire)
        return "done" if now == undo["rows"] else "not done"

    def _install(self, rows: dict[str, list[list[object]]], hands: Hands) -> None:
        with hands.work(run=hands.run, lock="statistics") as wire:
            _maintain(hands).write_statistics(rows, wire=wire)
            wire.begin(write=True)
            try:
                wire.execute(f"CREATE TABLE {RELOAD} (x)")
                wire.execute(f"DROP TABLE {RELOAD}")
                wire.commit()
            except BaseException:
                wire.rollback()
                raise


@dataclass(frozen=True, slots=True)
class AnalyseUndoably(_Refresh):
    """PostgreSQL from 18 on: ANALYZE; the statistics that were there before are put back."""

    dialect: str = "postgresql"
    key: str = "analyse-table-undoably"
    help: str = (
        "PostgreSQL from 18 on: runs ANALYZE on a table whose statistics misjudge a slow "
        "statement, and puts back the old ones where that did not help "
        "(`pg_restore_attribute_stats`). They hold values of users, so they are kept in the "
        "encrypted file of captured calls, for `captures.keep_hours`. Kept only when the statement "
        "became faster with another plan."
    )
    undo: Undo = "exact"
    rehearsal: Rehearsal = "none"
    rehearsal_reason: str = (
        "A restored clone has statistics of its own, so it cannot show what the stale ones do."
    )

    def propose(self, finding: Finding, view: View) -> Proposal | Declined:
        """Propose it where old statistics can be put back."""
        if view.identity.dialect == self.dialect and not _gives_statistics(view):
            return Declined("PostgreSQL up to 17 cannot put its statistics back")
        return _Refresh.propose(self, finding, view)

    def rehearse(self, parameters: Json, hands: Hands) -> Rehearsed:
        """Look whether what is there could be put back."""
        try:
            size = len(self._read(parameters, hands))
        except UnsupportedError as error:
            return Rehearsed(ok=False, reason=f"it could not be undone: {error}")
        if size > UNDO_BYTES_MAX:
            return Rehearsed(ok=False, reason=f"its statistics are too large to keep: {size} bytes")
        reason = f"not rehearsed: ANALYZE reads a sample; {size} bytes are kept to undo it"
        return Rehearsed(ok=True, reason=reason)

    def undo_of(self, parameters: Json, hands: Hands) -> Json:
        """Keep the statistics that are there, encrypted; return only that they were kept."""
        hands.keep_undo(self._read(parameters, hands))
        return {"kept": True}

    def apply(self, parameters: Json, hands: Hands) -> None:
        """Run ANALYZE."""
        seconds = self.config.build_seconds_max
        with hands.work(run=hands.run, lock="statistics", seconds=seconds) as wire:
            _maintain(hands).refresh_statistics([str(parameters["table"])], wire=wire)

    def revert(self, parameters: Json, undo: Json, hands: Hands) -> None:  # noqa: ARG002
        """Put back the statistics that were there before."""
        body = hands.kept_undo()
        if body is None:
            message = "The old statistics are kept for [captures] keep_hours, which have passed."
            raise DatabaseError(message)
        with hands.work(run=hands.run, lock="statistics") as wire:
            _maintain(hands).write_statistics(msgspec.json.decode(body), wire=wire)

    def observe_undone(self, parameters: Json, undo: Json, hands: Hands) -> Seen:  # noqa: ARG002
        """Look whether the statistics are those that were there before."""
        body = hands.kept_undo()
        if body is None:
            return "cannot tell"
        return "done" if self._read(parameters, hands) == body else "not done"

    def _read(self, parameters: Json, hands: Hands) -> bytes:
        with hands.engine.transaction() as wire:
            rows = _maintain(hands).read_statistics(str(parameters["table"]), wire=wire)
        return msgspec.json.encode(rows)


def _gives_statistics(view: View) -> bool:
    return int(view.identity.version.partition(".")[0]) >= GIVES_STATISTICS


@dataclass(frozen=True, slots=True)
class AnalyseTables(_Refresh):
    """PostgreSQL: ANALYZE."""

    dialect: str = "postgresql"
    key: str = "analyse-table"
    help: str = (
        "PostgreSQL up to 17: runs ANALYZE on a table whose statistics misjudge a slow statement. "
        "It cannot be undone exactly, so it is done by itself only when `operate.remedies` names "
        "it."
    )
    undo: Undo = "none"
    rehearsal: Rehearsal = "none"
    rehearsal_reason: str = (
        "A restored clone has statistics of its own, so it cannot show what the stale ones do."
    )

    def propose(self, finding: Finding, view: View) -> Proposal | Declined:
        """Propose it where old statistics cannot be put back."""
        if view.identity.dialect == self.dialect and _gives_statistics(view):
            return Declined("it can be undone here, which analyse-table-undoably does")
        return _Refresh.propose(self, finding, view)

    def rehearse(self, parameters: Json, hands: Hands) -> Rehearsed:  # noqa: ARG002
        """Return that nothing was rehearsed."""
        return Rehearsed(ok=True, reason="not rehearsed: ANALYZE only reads a sample of the rows")

    def undo_of(self, parameters: Json, hands: Hands) -> Json:  # noqa: ARG002
        """Return nothing: there is no undo."""
        return {}

    def apply(self, parameters: Json, hands: Hands) -> None:
        """Run ANALYZE."""
        seconds = self.config.build_seconds_max
        with hands.work(run=hands.run, lock="statistics", seconds=seconds) as wire:
            _maintain(hands).refresh_statistics([str(parameters["table"])], wire=wire)

    def revert(self, parameters: Json, undo: Json, hands: Hands) -> None:
        """Do nothing: there is no undo."""

    def observe_undone(self, parameters: Json, undo: Json, hands: Hands) -> Seen:  # noqa: ARG002
        """Return that nothing is left to be undone."""
        return "done"


def _maintain(hands: Hands) -> Maintain:
    maintain = hands.engine.maintain
    if isinstance(maintain, Unsupported):
        raise DatabaseError(f"{maintain.reason} {maintain.mend}")
    return maintain


@contextmanager
def _cloned(hands: Hands) -> Iterator[Wire]:
    """Yield a connection to a clone that is removed afterwards."""
    clones = hands.engine.clone
    if isinstance(clones, Unsupported):
        raise DatabaseError(f"{clones.reason} {clones.mend}")
    clone = hands.make_clone()
    try:
        with hands.on_clone(clone.name) as wire:
            yield wire
    finally:
        clones.drop(clone.name)
