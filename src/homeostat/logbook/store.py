"""logbook.db: what the operator decided and did, and who may decide.

A write is one transaction with `synchronous = FULL`: once `write` returns, the loss of power does
not take it back. Every write names the tenure it is made under; if another process has claimed the
scope since, nothing is written. An epoch only grows and is never given out twice, not even after a
release. The logbook decides by its own clock, which is passed in.

Nothing here touches a managed database, ends a process or decides what to do.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import msgspec

from homeostat.clock import Clock
from homeostat.errors import OwnedElsewhereError, OwnershipLostError
from homeostat.logbook.file import LogFile, Session
from homeostat.logbook.migrate import finish, migrations_of
from homeostat.logbook.reading import Reading, tenure_of
from homeostat.logbook.rows import Owner, Tenure
from homeostat.logbook.transaction import Transaction

_log = logging.getLogger(__name__)

Subscriber = Callable[[int], None]


class Logbook(Reading):
    """The operator's durable memory; safe to use from any thread."""

    def __init__(self, file: LogFile, *, clock: Clock) -> None:
        """Use `Logbook.open`."""
        self._file = file
        self._clock = clock
        self._subscribers: dict[int, Subscriber] = {}
        self._subscribers_lock = threading.Lock()
        self._subscribers_ever = 0

    @classmethod
    def open(cls, path: str | Path, *, clock: Clock, readonly: bool = False) -> Logbook:
        """Open a logbook, check it, and bring its schema up to date.

        Args:
            path: the file, created if missing (its directory must exist).
            clock: stamps events and decides about leases.
            readonly: read what is there; create, migrate and write nothing.

        Raises:
            LogbookNewerError: a later release wrote it; it was not touched.
            LogbookCorruptError: it is damaged.
            LogbookLockedError: another program holds it.
            LogbookFullError: there is no space to create or migrate it.
            LogbookError: anything else; the detail says what.
        """
        file = LogFile(
            Path(path),
            migrations=migrations_of("logbook"),
            synchronous="FULL",
            readonly=readonly,
        )
        return cls(file, clock=clock)

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        self._file.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()

    # Ownership

    def claim(self, scope: str, owner: Owner, *, lease_seconds: float) -> Tenure:
        """Become the owner of a scope for a time, under an epoch one higher than ever before.

        The same process may claim again while it holds. An expired tenure may be claimed; ending
        its holder first is the caller's business.

        Raises:
            OwnedElsewhereError: another owner's tenure has not expired; it is in `.tenure`.
        """
        with self._file.writing() as session:
            now = self._clock.now()
            epoch, held = _stored(session, scope)
            if held and held.expires > now and not same_process(held.owner, owner):
                raise _owned_elsewhere(held, now)
            tenure = Tenure(scope=scope, owner=owner, epoch=epoch + 1, expires=now + lease_seconds)
            _put(session, tenure)
            if not _others(session, owner, now):
                finish(session, self._file.migrations)
        return tenure

    def renew(self, tenure: Tenure, *, lease_seconds: float) -> Tenure:
        """Extend a tenure from now, also one that expired without anybody else claiming.

        Raises:
            OwnershipLostError: it was claimed by another, or released.
        """
        with self._file.writing() as session:
            _fence(session, tenure)
            renewed = msgspec.structs.replace(tenure, expires=self._clock.now() + lease_seconds)
            _put(session, renewed)
        return renewed

    def release(self, tenure: Tenure) -> None:
        """Give a scope back; does nothing if the tenure is no longer the scope's."""
        with self._file.writing() as session:
            session.execute(
                "UPDATE tenures SET expires = NULL WHERE scope = :scope AND epoch = :epoch",
                {"scope": tenure.scope, "epoch": tenure.epoch},
            )

    # Writing

    @contextmanager
    def write(self, tenure: Tenure | None) -> Iterator[Transaction]:
        """Write in one transaction, fenced by the tenure's epoch; None: what needs no owner.

        Other writers of this process wait meanwhile, readers do not: keep it short. Subscribers
        are called after the commit.

        Raises:
            OwnershipLostError: another owner claimed the scope since, or it was released.
            LogbookFullError, LogbookLockedError, LogbookCorruptError, LogbookError: as they say.
            In every case nothing was written.
        """
        with self._file.writing() as session:
            if tenure is not None:
                _fence(session, tenure)
            transaction = Transaction(session, at=self._clock.now())
            try:
                yield transaction
            finally:
                transaction.end()
        if transaction.sequence:
            self._wake(transaction.sequence)

    def subscribe(self, callback: Subscriber) -> Callable[[], None]:
        """Call back after each commit of this handle with the newest event's sequence number.

        The callback runs in the writer's thread, outside of every lock, so it should only wake
        somebody. What it raises is logged and harms nobody. Calls of two writers may come in
        either order.

        Returns:
            What ends the subscription; calling it twice is harmless.
        """
        with self._subscribers_lock:
            self._subscribers_ever += 1
            number = self._subscribers_ever
            self._subscribers[number] = callback

        def unsubscribe() -> None:
            with self._subscribers_lock:
                self._subscribers.pop(number, None)

        return unsubscribe

    def _wake(self, sequence: int) -> None:
        with self._subscribers_lock:
            subscribers = list(self._subscribers.values())
        for callback in subscribers:
            try:
                callback(sequence)
            except Exception:  # noqa: BLE001 - a subscriber must not undo what is committed
                _log.exception("a subscriber of the logbook failed; the write is committed")


def same_process(one: Owner, other: Owner) -> bool:
    """Return whether two owners are the same process; the label does not count."""
    return (one.pid, one.started, one.host, one.boot) == (
        other.pid,
        other.started,
        other.host,
        other.boot,
    )


def _stored(session: Session, scope: str) -> tuple[int, Tenure | None]:
    sql = "SELECT scope, epoch, expires, owner FROM tenures WHERE scope = :scope"
    rows = session.execute(sql, {"scope": scope}).rows
    if not rows:
        return 0, None
    tenure = tenure_of(rows[0])
    return tenure.epoch, tenure if rows[0][2] is not None else None


def _put(session: Session, tenure: Tenure) -> None:
    session.execute(
        "INSERT INTO tenures (scope, epoch, expires, owner) "
        "VALUES (:scope, :epoch, :expires, :owner) "
        "ON CONFLICT (scope) DO UPDATE SET epoch = excluded.epoch, expires = excluded.expires, "
        "owner = excluded.owner",
        {
            "scope": tenure.scope,
            "epoch": tenure.epoch,
            "expires": tenure.expires,
            "owner": msgspec.json.encode(tenure.owner).decode(),
        },
    )


def _fence(session: Session, tenure: Tenure) -> None:
    epoch, held = _stored(session, tenure.scope)
    if held is None or epoch != tenure.epoch:
        detail = f"epoch {tenure.epoch} of {tenure.scope} is past, the newest is {epoch}"
        raise OwnershipLostError(detail=detail)


def _others(session: Session, owner: Owner, now: float) -> bool:
    rows: Any = session.execute(
        "SELECT scope, epoch, expires, owner FROM tenures WHERE expires > :now", {"now": now}
    ).rows
    return any(not same_process(tenure_of(row).owner, owner) for row in rows)


def _owned_elsewhere(held: Tenure, now: float) -> OwnedElsewhereError:
    detail = (
        f"process {held.owner.pid} on {held.owner.host} holds {held.scope} for "
        f"{held.expires - now:.0f} s more"
    )
    error = OwnedElsewhereError(detail=detail)
    error.tenure = held
    return error
