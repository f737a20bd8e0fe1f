"""Build the index that a slow statement lacks, once a rehearsal on a clone has proven it.

On PostgreSQL it is built CONCURRENTLY, and an invalid index that a broken build left is removed
first; on SQLite writers wait for as long as the rehearsal measured. The undo is exact: the index is
dropped. It is kept only when the statement itself became faster with the index in use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from homeostat.config import TuneConfig
from homeostat.engine.engine import Unsupported
from homeostat.engine.facets import IndexInfo, IndexSpec, Maintain
from homeostat.engine.maintain import same_index, takes
from homeostat.errors import DatabaseError
from homeostat.logbook.rows import Finding, Json
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
from homeostat.tune.causes import MISSING_INDEX
from homeostat.tune.probes import ROWS_READ
from homeostat.tune.rehearsal import rehearse_index, remove_leftovers
from homeostat.tune.slow import SLOW, statement_of

COUNTED_SECONDS = 3.0  # PostgreSQL's sessions tell of their scans once a second at most
USES_MIN = 0.5  # uses of the index for each call of the statement: most calls go through it


@dataclass(frozen=True, slots=True)
class CreateIndex:
    """Build a missing index."""

    config: TuneConfig = TuneConfig()  # noqa: RUF009  # frozen
    key: str = "create-index"
    help: str = (
        "Builds the index that a slow statement lacks: equality columns first, then one range or "
        "the order, at most three. Proposed when the cause is a missing index; rehearsed on a "
        "clone with captured reads and writes, which must show more than "
        "`tune.index_benefit_share` net of writes, equal results, and no statement slower by more "
        "than `tune.worse_share`; built CONCURRENTLY (SQLite: within `tune.stall_ms_max`); kept "
        "only when the statement itself became faster with the index in use; the verdict tells how "
        "many rows a call read before and after, where its plan says."
    )
    rules: Sequence[str] = (SLOW,)
    undo: Undo = "exact"
    rehearsal: Rehearsal = "clone"
    rehearsal_reason: str = (
        "An estimate of a hypothetical index misleads and knows nothing of writes; on a copy both "
        "are measured."
    )

    @property
    def demand(self) -> Demand:
        """The statement's mean time must fall, with the index in use."""
        return Demand(
            name="mean time of the statement",
            unit="ms",
            reduction_min=self.config.index_benefit_share,
            mechanism="the new index was used",
            mechanism_min=USES_MIN,
            reads="rows read a call",
        )

    def propose(self, finding: Finding, view: View) -> Proposal | Declined:
        """Propose the candidate that would spare the most reading."""
        evidence = finding.evidence
        if evidence.get("cause") != MISSING_INDEX:
            return Declined("no index is missing by what is known")
        best = evidence.get("best")
        found = [one for one in evidence.get("candidates", ()) if one["name"] == best]
        if not found:
            return Declined("no index is known that would serve it")
        if evidence.get("beside"):
            return Declined("its OR needs several indexes, and one alone changes nothing")
        one = statement_of(finding, view)
        if one is None or not one.spent.calls:
            return Declined("the statement does not run at this moment")
        candidate = found[0]
        spec = IndexSpec(
            candidate["table"],
            tuple(candidate["columns"]),
            candidate["name"],
            candidate["schema"],
            candidate["where"],
            expressions=tuple(candidate["expressions"]),
            ordering=candidate["ordering"],
        )
        columns = ", ".join(spec.columns)
        where = f" where {spec.where}" if spec.where else ""
        return Proposal(
            resource=Resource("index", f"{spec.table}"),
            title=f"build an index on {spec.table} ({columns}){where} for {brief(one.name)}",
            why=f"{finding.what}. {finding.cause}",
            parameters={"index": msgspec.to_builtins(spec), "statement": finding.name},
            evidence={"cause": finding.cause, "candidate": candidate},
            likeness=f"{finding.name} {spec.table} ({columns}){where}",
            troubled_since=float(evidence.get("since", finding.opened)),
        )

    def rehearse(self, parameters: Json, hands: Hands) -> Rehearsed:
        """Replay captured calls on a clone without and with the index."""
        spec = spec_of(parameters)
        remove_leftovers(hands)
        found = _find(spec, hands)
        if found is not None and found.valid:
            return Rehearsed(ok=False, reason=f"the index {spec.name} is there already")
        return rehearse_index(spec, str(parameters["statement"]), hands)

    def undo_of(self, parameters: Json, hands: Hands) -> Json:
        """Return what to drop; an index that somebody else made before is left alone."""
        spec = spec_of(parameters)
        found = _find(spec, hands)
        there = found is not None and found.valid
        return {"name": spec.name, "schema": spec.schema, "was_there": there}

    def apply(self, parameters: Json, hands: Hands) -> None:
        """Build it; what a broken build left is removed first, one that is there counts."""
        spec = spec_of(parameters)
        seconds = self.config.build_seconds_max
        if hands.engine.dialect == "sqlite":  # writers wait: not longer than was allowed
            seconds = 2 * self.config.stall_ms_max / 1000
        with hands.work(run=hands.run, lock=_lock(spec), seconds=seconds) as wire:
            _maintain(hands).create_index(spec, wire=wire, deadline_ms=1000 * seconds)

    def observe(self, parameters: Json, hands: Hands) -> Seen:
        """Look whether the index is there and valid."""
        spec = spec_of(parameters)
        found = _find(spec, hands)
        if found is None or not found.valid:
            return "not done"
        return "done" if same_index(found, spec) else "cannot tell"

    def revert(self, parameters: Json, undo: Json, hands: Hands) -> None:
        """Drop it, valid or not; nothing happens when it is gone."""
        if undo["was_there"]:
            return
        spec = spec_of(parameters)
        with hands.work(run=hands.run, lock=_lock(spec)) as wire:
            _maintain(hands).drop_index(undo["name"], schema=undo["schema"], wire=wire)

    def observe_undone(self, parameters: Json, undo: Json, hands: Hands) -> Seen:
        """Look whether it is gone."""
        gone = undo["was_there"] or _find(spec_of(parameters), hands) is None
        return "done" if gone else "not done"

    def measure(self, parameters: Json, view: View, *, start: float, end: float) -> Batch | None:
        """Return the statement's mean time, calls a second, and uses of the index for each call."""
        one = view.statements.view(str(parameters["statement"]), start=start, end=end)
        if one is None or not one.spent.calls:
            return None
        rate = one.spent.calls / one.seconds
        uses = _uses(parameters, view, start=min(start, end - COUNTED_SECONDS), end=end)
        mechanism = sum(uses) / len(uses) / rate if uses else 0.0
        subject = view.subject("statement", one.key)
        read = view.recent.between(ROWS_READ, subject, start=start, end=end)
        reads = [value for value in read if isinstance(value, float)]
        return Batch(one.mean_ms, rate, min(1.0, mechanism), reads[-1] if reads else None)

    def explain(self, parameters: Json, view: View) -> str:
        """Say whether the planner takes the index at all.

        Not by one reading: sessions of PostgreSQL tell of their scans in a burst once a second, so
        most readings in between are 0. A plan that names the index is as good.
        """
        seconds = max(COUNTED_SECONDS, 2 * view.config.monitor.performance_seconds)
        uses = _uses(parameters, view, start=view.at - seconds, end=view.at)
        if not uses or max(uses) > 0:
            return ""
        one = view.statements.view(str(parameters["statement"]), start=0.0, end=view.at)
        if one is not None and one.plans and takes(one.plans[-1].plan.root, spec_of(parameters)):
            return ""
        return "the planner does not use the index"


def _uses(parameters: Json, view: View, *, start: float, end: float) -> list[float]:
    """Return the readings of the index's use, uses a second, with start < time <= end."""
    subject = view.subject("index", spec_of(parameters).name)
    found = view.recent.between("index.uses", subject, start=start, end=end)
    return [value for value in found if isinstance(value, float)]


def spec_of(parameters: Json) -> IndexSpec:
    """Return the index of a remedy's parameters."""
    return msgspec.convert(parameters["index"], IndexSpec)


def _find(spec: IndexSpec, hands: Hands) -> IndexInfo | None:
    there = _maintain(hands).indexes(spec.table)
    return next((index for index in there if index.name == spec.name), None)


def _maintain(hands: Hands) -> Maintain:
    maintain = hands.engine.maintain
    if isinstance(maintain, Unsupported):
        raise DatabaseError(f"{maintain.reason} {maintain.mend}")
    return maintain


def _lock(spec: IndexSpec) -> str:
    return f"index {spec.table}"
