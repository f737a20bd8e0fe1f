"""Size a pool of PgBouncer's: its file first, then RELOAD.

The file is written under the database's own lock, on a direct connection, so that two operators
never write it at once and one that was taken over writes nothing more. Killed between the two
steps, PgBouncer goes on with the old size until whoever takes over has it read the file. The undo
is the text that stood in the line; what others wrote there meanwhile is left alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec

from homeostat.config import PoolConfig
from homeostat.driver.pgbouncer import PoolerReading
from homeostat.engine.engine import Unsupported
from homeostat.engine.facets import Pooler, PoolSetting
from homeostat.errors import PoolerFileError
from homeostat.logbook.rows import Finding, Json
from homeostat.maintain.pool import PoolWindow
from homeostat.maintain.pooler import CANNOT, INSTANCE, KIND
from homeostat.measure import Subject, Unknown
from homeostat.operate.remedy import Declined, Hands, Proposal, Rehearsed, Resource, Seen
from homeostat.operate.rule import View
from homeostat.operate.verify import Batch

THROUGH = "through"  # marks the parameters of this way


def is_ours(parameters: Json) -> bool:
    """Return whether a remedy sizes a pool of PgBouncer's."""
    return bool(parameters.get(THROUGH) == INSTANCE)


def proposal(finding: Finding, *, verb: str, limit: int, to: int, evidence: Json) -> Proposal:
    """Return what changing a size would be."""
    return Proposal(
        resource=Resource(KIND, f"{INSTANCE}/{finding.name}"),
        title=f"{verb} PgBouncer's pool of {finding.name} from {limit} to {to} connections",
        why=finding.what,
        parameters={THROUGH: INSTANCE, "pool": finding.name, "from": limit, "to": to},
        evidence=evidence,
        likeness=f"{INSTANCE}/{finding.name} {limit}->{to}",
        troubled_since=float(finding.evidence.get("since", finding.opened)),
    )


def propose_growth(
    finding: Finding, view: View, window: PoolWindow, config: PoolConfig
) -> Proposal | Declined:
    """Propose one step of growth, unless the file cannot be written."""
    cannot = _cannot(view, finding.name)
    if cannot:
        return Declined(cannot)
    room, why = room_on_server(view, finding.name, config)
    to = min(math.ceil(window.limit * config.growth), room)
    if to <= window.limit:
        return Declined(f"no room to grow past {window.limit}: {why}")
    evidence = {**finding.evidence, "cause": finding.cause, "room": room}
    return proposal(finding, verb="grow", limit=window.limit, to=to, evidence=evidence)


def propose_shrinking(finding: Finding, view: View, config: PoolConfig) -> Proposal | Declined:
    """Propose one step back, at most to the size from before it was grown."""
    cannot = _cannot(view, finding.name)
    if cannot:
        return Declined(cannot)
    subject = _subject(view, finding.name)
    limit, own = (_last(view, metric, subject) for metric in ("pool.limit", "pool.limit_default"))
    if limit is None or own is None:
        return Declined("PgBouncer's console does not answer")
    to = max(int(own), math.ceil(limit / config.growth))
    if to >= limit:
        return Declined("the pool is back at the size it had before")
    return proposal(finding, verb="shrink", limit=int(limit), to=to, evidence=finding.evidence)


def _cannot(view: View, database: str) -> str:
    """Return what keeps it from acting, and what would let it; empty: nothing."""
    last = view.recent.last("pool.limit", _subject(view, database))
    why = "" if last is None else last.texts.get(CANNOT, "")
    return f"it cannot act: {why}" if why else ""


def room_on_server(view: View, database: str, config: PoolConfig) -> tuple[int, str]:
    """Return the highest size for each pool of a database, and what sets it."""
    most, why = config.limit_max, f"pool.limit_max is {config.limit_max}"
    activity = view.activity
    if activity is None:
        return most, why
    subject = _subject(view, database)
    connected, limit = (_last(view, one, subject) for one in ("pool.connected", "pool.limit"))
    pools = max(1, math.ceil((connected or 0.0) / limit)) if limit else 1  # one for each user
    for one in activity.limits:
        others = one.used - min(connected or 0.0, one.used)
        share = int(one.used_max - config.server_reserve - others)
        if share // pools < most:
            most = share // pools
            why = f"{one.whose} has {share} connections for it besides {others:.0f} of others"
    return most, why


def rehearse(parameters: Json, hands: Hands) -> Rehearsed:
    """Check that the size is as it was, that it can be changed, and that there is room."""
    pooler = _pooler(hands)
    cannot = pooler.cannot_size()
    if cannot:
        return Rehearsed(ok=False, reason=f"it cannot act: {cannot}")
    now = pooler.reading()
    if now.size != parameters["from"]:
        return Rehearsed(ok=False, reason=f"the size is no longer {parameters['from']}")
    if parameters["to"] > parameters["from"]:
        return _rehearse_growth(parameters, now, hands)
    if now.active_most > parameters["to"]:
        return Rehearsed(ok=False, reason=f"{now.active_most} connections are in use again")
    return Rehearsed(ok=True, reason=f"dry run: {now.active_most} are in use")


def _rehearse_growth(parameters: Json, now: PoolerReading, hands: Hands) -> Rehearsed:
    cap = now.size_max
    if cap is not None and parameters["to"] * max(1, now.pools) > cap:
        return Rehearsed(ok=False, reason=f"PgBouncer's max_db_connections is {cap}")
    room, why = room_on_server(hands.view(), parameters["pool"], hands.view().config.pool)
    if parameters["to"] > room:
        return Rehearsed(ok=False, reason=f"the room to grow shrank to {room}: {why}")
    return Rehearsed(ok=True, reason=f"dry run: the file can be written; {why}")


@dataclass(frozen=True, slots=True)
class PoolerSizing:
    """The moves that change something; see `operate.remedy.Remedy`."""

    def undo_of(self, parameters: Json, hands: Hands) -> Json:
        """Return the text that stands in the file now, and how the line will look after."""
        pooler = _pooler(hands)
        old: Json = msgspec.to_builtins(pooler.setting())
        return {"setting": old, "ours": pooler.changed_digest(parameters["to"])}

    def apply(self, parameters: Json, hands: Hands) -> None:
        """Write the file and have it read."""
        with hands.work(run=hands.run, lock=_lock(parameters)) as wire:
            wire.execute("SELECT 1")  # a session that a successor has ended writes nothing
            _pooler(hands).resize(parameters["to"])

    def observe(self, parameters: Json, hands: Hands) -> Seen:
        """Look whether PgBouncer has the size, and its file says so."""
        pooler = _pooler(hands)
        setting = pooler.setting()
        said = str(parameters["to"]) in "".join(c if c.isdigit() else " " for c in setting.token)
        return "done" if said and setting.size == parameters["to"] else "not done"

    def revert(self, parameters: Json, undo: Json, hands: Hands) -> None:
        """Put the text back and have it read."""
        setting = msgspec.convert(undo["setting"], PoolSetting)
        with hands.work(run=hands.run, lock=_lock(parameters)) as wire:
            wire.execute("SELECT 1")
            _pooler(hands).restore(setting, ours=str(undo["ours"]))

    def observe_undone(self, parameters: Json, undo: Json, hands: Hands) -> Seen:  # noqa: ARG002
        """Look whether the line is to the byte what it was, and PgBouncer has that size."""
        old = msgspec.convert(undo["setting"], PoolSetting)
        now = _pooler(hands).setting()
        return "done" if (now.digest, now.size) == (old.digest, old.size) else "not done"

    def measure(self, parameters: Json, view: View, *, start: float, end: float) -> Batch | None:
        """Return mean time of a transaction, transactions a second, and use above the old size."""
        subject = _subject(view, parameters["pool"])

        def readings(metric: str) -> list[float]:
            found = view.recent.between(metric, subject, start=start, end=end)
            return [one for one in found if isinstance(one, float)]

        counts, times = readings("pool.transactions"), readings("pool.transaction_ms")
        used = readings("pool.in_use_max")
        whole = [(n, ms) for n, ms in zip([n for n in counts if n], times, strict=False)]
        total = sum(n for n, _ in whole)
        if not total or not used:
            return None
        above = sum(one > parameters["from"] for one in used) / len(used)
        mean = sum(n * ms for n, ms in whole) / total
        return Batch(mean, total / (end - start), above)


def _pooler(hands: Hands) -> Pooler:
    pooler = hands.engine.pooler
    if isinstance(pooler, Unsupported):
        raise PoolerFileError(f"{pooler.reason} {pooler.mend}")
    return pooler


def _lock(parameters: Json) -> str:
    return f"{INSTANCE} {parameters['pool']}"


def _subject(view: View, database: str) -> Subject:
    return Subject(view.identity.key, INSTANCE, KIND, database)


def _last(view: View, metric: str, subject: Subject) -> float | None:
    last = view.recent.last(metric, subject)
    return None if last is None or isinstance(last.value, Unknown) else float(last.value)  # type: ignore[arg-type]
