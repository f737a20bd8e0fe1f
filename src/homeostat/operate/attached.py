"""Put together all that belongs to one attached database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from threading import Event
from typing import get_args

import msgspec

from homeostat.clock import Clock
from homeostat.config import Autonomy, Config, DatabaseConfig
from homeostat.engine import Engine
from homeostat.errors import DatabaseError, HomeostatError, LogbookError
from homeostat.logbook import Logbook, SampleStore
from homeostat.logbook.captures import CaptureStore
from homeostat.logbook.rows import DatabaseRow
from homeostat.operate.database_lock import DatabaseLock
from homeostat.operate.desired import DesiredSettings
from homeostat.operate.desk import Desk
from homeostat.operate.findings import FindingBook
from homeostat.operate.own_findings import OwnFindings
from homeostat.operate.ownership import Ownership
from homeostat.operate.registry import Registry
from homeostat.operate.room import Room
from homeostat.operate.rule import View
from homeostat.operate.run import Footing
from homeostat.operate.watch import Watch, WatchHands
from homeostat.secret import without_password

PAUSE_ALL = "paused"  # also what is attached later is paused


@dataclass(slots=True)
class Attached:
    """One database with all that belongs to it; `stack` lets it go."""

    row: DatabaseRow
    engine: Engine
    watch: Watch
    desk: Desk
    ownership: Ownership
    findings: FindingBook
    own: OwnFindings
    lock: DatabaseLock
    stack: ExitStack
    settings: DatabaseConfig
    name: str

    def keep_lock(self) -> None:
        """Take or check the database's lock; once it is held, go on with what was left."""
        before = self.lock.held
        try:
            held = self.lock.keep()
        except DatabaseError as error:
            self.lock.release(str(error))
            held = False
        self.own.standing_by("" if held else self.lock.reason)
        if held and not before:
            self.desk.go_on()

    def leave(self, why: str) -> None:
        """Have what is under way stop: runs, what is tried, a probe that would hold up the end."""
        self.desk.leave(why)
        self.engine.cancel()

    def let_go(self) -> None:
        """Release the lock and the ownership, stop what is being read, close every connection."""
        with suppress(HomeostatError):
            self.stack.close()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all databases of an operator share."""

    config: Config
    clock: Clock
    rooms: Sequence[Room]
    logbook: Logbook
    samples: SampleStore
    captures: CaptureStore
    registry: Registry
    started: float
    is_paused: Callable[[str], bool]
    on_tick: Callable[[], None]
    on_logbook: Callable[[str, LogbookError], None]


def assemble(
    around: Surroundings,
    settings: DatabaseConfig,
    *,
    name: str,
    engine: Engine,
    ownership: Ownership,
    stack: ExitStack,
) -> Attached:
    """Return an attached database, stored in the logbook; nothing runs yet.

    Raises:
        LogbookError: it could not be stored.
    """
    identity = engine.identity()
    key = identity.key
    config = around.config
    if settings.autonomy is not None:
        config = _at_most(config, settings.autonomy)
    findings = FindingBook(around.logbook, key, ownership)
    own = OwnFindings(findings, key, around.clock, config.operate.escalation_seconds)
    desired = DesiredSettings(
        around.logbook, key, ownership, expires_seconds=config.agent.expires_seconds
    )
    lock = DatabaseLock(engine, key)
    stack.callback(lock.close)

    def consider(view: View) -> None:
        own.settle(around.logbook.remedy)
        own.dropped(around.registry.take_dropped(key))
        if lock.held:
            desk.consider(view.findings, view)

    watch = Watch(
        engine,
        identity,
        around.rooms,
        config,
        around.clock,
        around.samples,
        around.registry,
        findings,
        desired,
        epoch=lambda: ownership.epoch,
        consider=consider,
        on_tick=around.on_tick,
        on_logbook=lambda error: around.on_logbook(key, error),
        captures=around.captures,
    )
    footing = Footing(
        around.logbook,
        ownership,
        around.clock,
        config.operate,
        WatchHands(watch, ownership, config.operate.lease_seconds),
        Event(),
        around.started,
        still_open=lambda number: findings.get(number) is not None,
        has_lock=lock.still_held,
        is_paused=lambda: around.is_paused(key),
    )
    desk = Desk(
        key,
        [remedy for room in around.rooms for remedy in room.remedies],
        footing,
        config,
        on_failure=own.remedy,
    )
    row = _save_database(around, settings.url, engine, ownership)
    return Attached(row, engine, watch, desk, ownership, findings, own, lock, stack, settings, name)


def _at_most(config: Config, autonomy: Autonomy) -> Config:
    """Return the configuration of a database that has an autonomy of its own.

    It replaces the usual one; what is said of single remedies holds as far as it does not go past.
    """
    levels = get_args(Autonomy)
    operate = msgspec.structs.replace(
        config.operate,
        autonomy=autonomy,
        remedies={
            key: min(said, autonomy, key=levels.index)
            for key, said in config.operate.remedies.items()
        },
    )
    return msgspec.structs.replace(config, operate=operate)


def _save_database(
    around: Surroundings, url: str, engine: Engine, ownership: Ownership
) -> DatabaseRow:
    identity = engine.identity()
    old = {row.key: row for row in around.logbook.databases()}.get(identity.key)
    row = DatabaseRow(
        key=identity.key,
        dialect=identity.dialect,
        label=identity.label,
        url=identity.label if identity.dialect == "sqlite" else without_password(url),
        version=identity.version,
        attached=old.attached if old else around.clock.now(),
        paused=old.paused if old else bool(around.logbook.value(PAUSE_ALL)),
    )
    with around.logbook.write(ownership.tenure) as tx:
        tx.save_database(row)
        tx.audit(
            actor="homeostat",
            action="attach",
            database=row.key,
            subject="",
            detail={"url": row.url, "epoch": ownership.epoch},
        )
    return row
