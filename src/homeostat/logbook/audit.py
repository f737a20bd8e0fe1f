"""The audit chain: each entry's SHA-256 covers its content and the hash of the one before.

What is stored is the very text that was hashed, so nothing has to be put into canonical form again
to verify it. The chain shows that an entry was changed, left out or put in. It cannot show that
somebody rewrote all of it: what is stored beside the log it protects proves nothing.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from homeostat.errors import LogbookCorruptError
from homeostat.logbook.file import Session
from homeostat.logbook.rows import AuditEntry, Json

FIRST_PREVIOUS = "0" * 64
VERIFY_BATCH = 1_000


class _Body(msgspec.Struct, frozen=True, kw_only=True):
    """An entry without its own hash: what is hashed."""

    sequence: int
    at: float
    actor: str
    action: str
    database: str
    subject: str
    detail: Json
    previous: str


_decoder = msgspec.json.Decoder(_Body)


def digest(body: str) -> str:
    """Return the SHA-256 of an entry's text, in hexadecimal digits."""
    return hashlib.sha256(body.encode()).hexdigest()


def canonical(value: Any) -> str:
    """Return a value as JSON with sorted keys and no spaces; NaN becomes null, keys texts."""
    plain = msgspec.json.decode(msgspec.json.encode(value))
    return msgspec.json.encode(plain, order="sorted").decode()


def append(
    session: Session,
    *,
    at: float,
    actor: str,
    action: str,
    database: str,
    subject: str,
    detail: Json,
) -> AuditEntry:
    """Add an entry at the end of the chain, inside the transaction that is open."""
    last = session.execute("SELECT sequence, hash FROM audit ORDER BY sequence DESC LIMIT 1").rows
    number: Any = last[0][0] if last else 0
    previous = str(last[0][1]) if last else FIRST_PREVIOUS
    body = canonical(
        _Body(
            sequence=number + 1,
            at=at,
            actor=actor,
            action=action,
            database=database,
            subject=subject,
            detail=detail,
            previous=previous,
        )
    )
    proof = digest(body)
    session.execute(
        "INSERT INTO audit (sequence, body, hash) VALUES (:sequence, :body, :hash)",
        {"sequence": number + 1, "body": body, "hash": proof},
    )
    return entry(body, proof)


def entry(body: str, proof: str) -> AuditEntry:
    """Return a stored entry as a row.

    Raises:
        LogbookCorruptError: the text is not an entry.
    """
    try:
        found = _decoder.decode(body)
    except msgspec.DecodeError as error:
        raise LogbookCorruptError(detail=f"an audit entry cannot be read: {error}") from error
    return AuditEntry(**msgspec.structs.asdict(found), hash=proof)


def verify(session: Session, *, where: str) -> int:
    """Follow the chain from its first entry; return how many there are.

    Raises:
        LogbookCorruptError: names the first entry that was changed, left out or put in.
    """
    count, previous = 0, FIRST_PREVIOUS
    while True:
        rows = session.execute(
            "SELECT sequence, body, hash FROM audit WHERE sequence > :after "
            "ORDER BY sequence LIMIT :batch",
            {"after": count, "batch": VERIFY_BATCH},
        ).rows
        for sequence, body, proof in rows:
            complaint = _complaint(count + 1, previous, sequence, str(body), str(proof))
            if complaint:
                raise _broken(count + 1, complaint, where)
            count, previous = count + 1, str(proof)
        if len(rows) < VERIFY_BATCH:
            break
    ever = session.execute("SELECT seq FROM sqlite_sequence WHERE name = 'audit'").scalar()
    if (ever or 0) != count:
        raise _broken(count + 1, f"it is missing; {ever} were written", where)
    return count


def _complaint(expected: int, previous: str, sequence: object, body: str, proof: str) -> str:
    if sequence != expected:
        return "it is missing"
    if digest(body) != proof:
        return "its content does not match its hash"
    found = entry(body, proof)
    if found.sequence != expected:
        return f"its content is that of entry {found.sequence}"
    if found.previous != previous:
        return "it does not follow from the entry before"
    return ""


def _broken(number: int, complaint: str, where: str) -> LogbookCorruptError:
    message = (
        f"Audit entry {number} was tampered with or damaged: {complaint}. Nothing will be applied; "
        "compare with a backup of the logbook."
    )
    return LogbookCorruptError(message, where=where)
