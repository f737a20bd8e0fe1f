"""Try an index on a clone: replay captured calls without and with it, and judge by the numbers.

The clone is removed at the end of every path; one that a killed operator left is removed by its
owner, the run, when that is taken up again. What runs without captured calls is refused: an index
that nothing proves is not built.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from homeostat.config import Config, TuneConfig
from homeostat.driver.wire import Wire
from homeostat.engine.engine import Unsupported
from homeostat.engine.facets import CloneInfo, Explain, IndexSpec, Maintain
from homeostat.engine.maintain import IndexTrial, takes, try_index
from homeostat.errors import CloneRefusedError, DatabaseError
from homeostat.logbook.rows import Json
from homeostat.operate.remedy import Hands, Rehearsed, owner_of
from homeostat.tune.replay import (
    Call,
    Chosen,
    Compared,
    Side,
    best_of,
    choose,
    compare_sides,
    replay,
)

BYTES_SPARE = 1.2  # indexes of a live table are a little larger than of a fresh copy
GAINED_SHARE = 0.1  # a statement that became faster by this is one that the index serves
STATEMENTS_SHOWN = 10


@dataclass(slots=True)
class Trial:
    """What was measured on the clone.

    Attributes:
        used: whether the planner takes the index for any call of the statement.
    """

    clone: CloneInfo
    index: IndexTrial
    chosen: Chosen
    compared: list[Compared]
    used: bool = True
    plans: dict[str, Json] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)

    @property
    def replayed(self) -> int:
        """Return how many calls ran on both sides."""
        return sum(one.calls for one in self.compared)

    @property
    def share(self) -> float:
        """Return the part of the captured calls that was replayed."""
        return self.replayed / self.chosen.captured if self.chosen.captured else 0.0


def remove_leftovers(hands: Hands) -> None:
    """Remove what an operator that was killed in this run's rehearsal left.

    Raises:
        DatabaseError: the place of clones cannot be asked.
    """
    clones = hands.engine.clone
    if not isinstance(clones, Unsupported):
        clones.collect(owners=frozenset({owner_of(hands.run)}))


def rehearse_index(spec: IndexSpec, statement: str, hands: Hands) -> Rehearsed:
    """Return whether an index is worth building, with all that was measured.

    Args:
        spec: the index.
        statement: the key of the statement that it is for.
        hands: reads the database, makes clones of it; nothing in it is changed.
    """
    engine, config = hands.engine, hands.view().config
    clones, maintain, explain = engine.clone, engine.maintain, engine.explain
    for facet in (clones, maintain, explain):
        if isinstance(facet, Unsupported):
            reason = f"it cannot be rehearsed: {facet.reason} {facet.mend}"
            return Rehearsed(ok=False, reason=reason)
    assert not isinstance(clones, Unsupported)  # noqa: S101  told above
    assert not isinstance(maintain, Unsupported)  # noqa: S101
    assert not isinstance(explain, Unsupported)  # noqa: S101
    chosen = choose(
        hands.captured(),
        table=spec.table,
        dialect=engine.dialect,
        calls_max=config.tune.replay_calls_max,
    )
    # its own calls first: they are what is left to judge by when the time does not do for all
    ours = tuple(sorted(chosen.calls, key=lambda call: call.key != statement))
    chosen = replace(chosen, calls=ours)
    if all(call.key != statement for call in chosen.calls):
        reason = "no call of the statement was captured with its parameters, so nothing is proven"
        return Rehearsed(ok=False, reason=reason)
    try:
        clone = hands.make_clone()
    except CloneRefusedError as error:
        return Rehearsed(ok=False, reason=f"no clone to rehearse on: {error}")
    try:
        with hands.on_clone(clone.name) as wire:
            trial = _try(spec, statement, chosen, clone, wire, maintain, explain, config.tune)
    except DatabaseError as error:
        return Rehearsed(ok=False, reason=f"on the clone: {error}")
    finally:
        clones.drop(clone.name)
    rates = _rates(hands, config)
    return judge_trial(
        spec,
        statement,
        trial,
        rates,
        config,
        free_bytes=_free_bytes(hands),
        dialect=engine.dialect,
    )


def _try(
    spec: IndexSpec,
    statement: str,
    chosen: Chosen,
    clone: CloneInfo,
    wire: Wire,
    maintain: Maintain,
    explain: Explain,
    tune: TuneConfig,
) -> Trial:
    calls = chosen.calls
    newest = next(call for call in reversed(calls) if call.key == statement)
    plans = {"before": _plan(explain, newest, wire, tune)}
    before = replay(wire, calls, seconds=tune.replay_seconds)
    deadline_ms = 1000 * tune.build_seconds_max
    index = try_index(maintain, spec, wire=wire, deadline_ms=deadline_ms)
    plans["after"] = _plan(explain, newest, wire, tune)
    used = any(_takes(explain, call, wire, spec) for call in calls if call.key == statement)
    after = replay(wire, calls, seconds=tune.replay_seconds)
    compared = compare_sides(calls, before, after)
    again = {one.key for one in compared if is_worse(one, tune)}
    if not does_less(plans["before"], plans["after"]):
        again.add(statement)
    if again:  # it may have been the machine: look at these again, both ways
        only = frozenset(again)
        maintain.drop_index(spec.name, schema=spec.schema, wire=wire)
        before = best_of(before, replay(wire, calls, seconds=tune.replay_seconds, only=only))
        maintain.create_index(spec, wire=wire, deadline_ms=deadline_ms)
        after = best_of(after, replay(wire, calls, seconds=tune.replay_seconds, only=only))
        compared = compare_sides(calls, before, after)
    failed = _failed(before, after)
    known = {name: plan for name, plan in plans.items() if plan}
    return Trial(clone, index, chosen, compared, used, known, failed)


def _takes(explain: Explain, call: Call, wire: Wire, spec: IndexSpec) -> bool:
    """Return whether the planner takes an index for a call."""
    try:
        plan = explain.estimate(call.sql, call.params, wire=wire)
    except DatabaseError:
        return False
    return takes(plan.root, spec)


def _plan(explain: Explain, call: Call, wire: Wire, tune: TuneConfig) -> Json:
    try:
        plan = explain.execute(
            call.sql, call.params, wire=wire, deadline_ms=1000 * tune.replay_seconds
        )
    except DatabaseError:
        return {}
    found: Json = msgspec.to_builtins(plan)
    return found


def _failed(before: Side, after: Side) -> dict[str, int]:
    return dict(before.failed | after.failed)


def does_less(before: Json, after: Json) -> bool:
    """Return whether a statement did clearly less by its executed plans, in rows, pages or steps.

    Where it did not, time alone speaks for the index, and the machine may have been busy at first.
    """
    counted = list(zip(_work(before), _work(after), strict=True))
    known = [(old, new) for old, new in counted if old is not None and new is not None]
    return any(new < (1 - GAINED_SHARE) * old for old, new in known)


def _work(plan: Json) -> tuple[float | None, float | None, float | None]:
    """Return what a plan counted: rows read, pages touched, steps of SQLite's machine."""
    hit, read = plan.get("blocks_hit"), plan.get("blocks_read")
    pages = None if hit is None or read is None else hit + read
    return plan.get("rows_read"), pages, plan.get("counters", {}).get("vm_step")


def is_worse(one: Compared, tune: TuneConfig) -> bool:
    """Return whether a statement became slower by more than is allowed."""
    by_ms = one.after_ms - one.before_ms
    return one.change > tune.worse_share and by_ms > tune.worse_ms_min


def benefit_of(compared: Sequence[Compared], statement: str, rates: Mapping[str, float]) -> float:
    """Return the benefit net of costs: time saved less time added, of what served calls took.

    Each statement counts by how often it is called. What became faster by a tenth, and the
    statement itself, is what the index serves; every call that became slower is its price.
    """
    served = saved = added = 0.0
    for one in compared:
        weight = rates.get(one.key, 0.0)
        if one.key == statement:
            weight = max(weight, 1e-9)
        change = one.after_ms - one.before_ms
        if one.key == statement or one.change < -GAINED_SHARE:
            served += weight * one.before_ms
            saved -= weight * change
        elif change > 0:
            added += weight * change
    return (saved - added) / served if served else 0.0


def judge_trial(
    spec: IndexSpec,
    statement: str,
    trial: Trial,
    rates: Mapping[str, float],
    config: Config,
    *,
    free_bytes: float | None,
    dialect: str,
) -> Rehearsed:
    """Return whether what was measured is enough."""
    tune = config.tune
    scale = 1.0 / trial.clone.share if trial.clone.share else 1.0
    seconds, size = trial.index.seconds * scale, trial.index.bytes * scale * BYTES_SPARE
    benefit = benefit_of(trial.compared, statement, rates)
    evidence = _evidence(trial, seconds, size, benefit)
    own = next((one for one in trial.compared if one.key == statement), None)
    unused = "" if trial.used else f"the planner does not take the index {spec.name}"
    against = (
        unused
        or _against(own, trial.compared, tune, benefit)
        or _over_budget(spec, seconds, size, config, free_bytes=free_bytes, dialect=dialect)
    )
    if against or own is None:
        return Rehearsed(ok=False, reason=f"on the clone: {against}", evidence=evidence)
    reason = (
        f"on the clone {own.operation} took {own.before_ms:,.2f} ms, then {own.after_ms:,.2f} ms"
        f"{_counted(trial.plans)}; "
        f"net of writes {benefit:.0%} less; {trial.replayed} of {trial.chosen.captured} captured "
        f"calls replayed, all results equal; built in {seconds:,.2f} s, {size / 1e6:,.1f} MB"
    )
    return Rehearsed(ok=True, reason=reason, evidence=evidence)


def _counted(plans: Mapping[str, Json]) -> str:
    """Return what one call read by its executed plans, as far as the engine counts it."""
    before, after = plans.get("before", {}), plans.get("after", {})
    rows, _, steps = zip(_work(before), _work(after), strict=True)
    for (old, new), words in ((steps, "steps of SQLite"), (rows, "rows read")):
        if old is not None and new is not None:
            return f", {old:,.0f} {words}, then {new:,.0f}"
    return ""


def _against(
    own: Compared | None, compared: Sequence[Compared], tune: TuneConfig, benefit: float
) -> str:
    """Return what the replay says against the index, or nothing."""
    if own is None:
        return "no call of the statement could be replayed"
    different = [one.operation for one in compared if not one.equal]
    if different:
        return f"the results of {', '.join(different)} differ"
    if min(benefit, -own.change) <= tune.index_benefit_share:
        return (
            f"{own.operation} went from {own.before_ms:,.2f} to {own.after_ms:,.2f} ms; net of "
            f"writes that is {benefit:.0%}, and {tune.index_benefit_share:.0%} is asked for"
        )
    worse = [one for one in compared if is_worse(one, tune)]
    if worse:
        most = max(worse, key=lambda one: one.change)
        return (
            f"{most.operation} became slower by {most.change:.0%}, from {most.before_ms:,.2f} to "
            f"{most.after_ms:,.2f} ms; {tune.worse_share:.0%} is allowed"
        )
    return ""


def refusal(
    statement: str, compared: Sequence[Compared], chosen: Chosen, hands: Hands
) -> Rehearsed:
    """Return whether a change that builds nothing is worth it by what was replayed."""
    config = hands.view().config
    own = next((one for one in compared if one.key == statement), None)
    benefit = benefit_of(compared, statement, _rates(hands, config))
    replayed = sum(one.calls for one in compared)
    evidence: Json = {
        "benefit": round(benefit, 4),
        "captured": chosen.captured,
        "replayed": replayed,
        "statements": _statements(compared),
    }
    against = _against(own, compared, config.tune, benefit)
    if against or own is None:
        return Rehearsed(ok=False, reason=f"on the clone: {against}", evidence=evidence)
    reason = (
        f"on the clone {own.operation} took {own.before_ms:,.2f} ms, then {own.after_ms:,.2f} ms; "
        f"{replayed} of {chosen.captured} captured calls replayed, all results equal"
    )
    return Rehearsed(ok=True, reason=reason, evidence=evidence)


def _over_budget(
    spec: IndexSpec,
    seconds: float,
    size: float,
    config: Config,
    *,
    free_bytes: float | None,
    dialect: str,
) -> str:
    tune = config.tune
    if free_bytes is not None and size > tune.disk_free_share * free_bytes:
        return (
            f"the index takes {size / 1e6:,.0f} MB of {free_bytes / 1e6:,.0f} MB free, and "
            f"{tune.disk_free_share:.0%} is allowed"
        )
    if dialect == "sqlite" and 1000 * seconds > tune.stall_ms_max:
        return (
            f"writers would wait {1000 * seconds:,.0f} ms while {spec.table} is read, and "
            f"{tune.stall_ms_max:,.0f} ms are allowed (tune.stall_ms_max)"
        )
    if seconds > tune.build_seconds_max:
        return f"the build takes {seconds:,.0f} s, and {tune.build_seconds_max:,.0f} are allowed"
    return ""


def _evidence(trial: Trial, seconds: float, size: float, benefit: float) -> Json:
    return {
        "clone": {
            "bytes": trial.clone.bytes,
            "seconds": round(trial.clone.seconds, 3),
            "share": trial.clone.share,
        },
        "build_seconds": round(seconds, 3),
        "index_bytes": round(size),
        "benefit": round(benefit, 4),
        "captured": trial.chosen.captured,
        "replayed": trial.replayed,
        "replayed_share": round(trial.share, 4),
        "private": trial.chosen.private,
        "failed": trial.failed,
        "equal": all(one.equal for one in trial.compared),
        "statements": _statements(trial.compared),
        "plans": trial.plans,
    }


def _statements(compared: Sequence[Compared]) -> list[Json]:
    return [
        {
            "operation": one.operation,
            "statement": one.key,
            "write": one.write,
            "calls": one.calls,
            "before_ms": round(one.before_ms, 4),
            "after_ms": round(one.after_ms, 4),
            "equal": one.equal,
        }
        for one in compared[:STATEMENTS_SHOWN]
    ]


def _rates(hands: Hands, config: Config) -> dict[str, float]:
    """Return calls per second by statement, over the window that is judged."""
    view = hands.view()
    start = view.at - config.tune.window_seconds
    found = view.statements.views(start=start, end=view.at)
    return {one.key: one.spent.calls / one.seconds for one in found}


def _free_bytes(hands: Hands) -> float | None:
    """Return the free bytes where the database lies, as far as that can be seen from here."""
    view = hands.view()
    sample = view.recent.last("disk.free_bytes", view.subject())
    if sample is not None and isinstance(sample.value, float):
        return sample.value
    if view.identity.dialect == "sqlite":
        return float(shutil.disk_usage(Path(view.identity.label).parent).free)
    return None
