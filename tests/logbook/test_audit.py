"""Whoever changes, removes or adds an audit entry is found out, and the entry is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from homeostat.clock import ManualClock
from homeostat.driver.sqlite import connect
from homeostat.errors import LogbookCorruptError, LogbookError
from homeostat.logbook import Logbook
from homeostat.logbook.audit import FIRST_PREVIOUS, digest

UNGUARD = "DROP TRIGGER audit_keeps", "DROP TRIGGER audit_stays"


def write_entries(logbook: Logbook, count: int) -> None:
    for number in range(1, count + 1):
        with logbook.write(None) as tx:
            tx.audit(
                actor="operator",
                action="apply",
                database="d",
                subject=f"remedy {number}",
                detail={"z": number, "a": [1.0, None, "ü"]},
            )


def tamper(path: Path, *statements: str) -> None:
    wire = connect(path)
    for statement in (*UNGUARD, *statements):
        wire.execute(statement)
    wire.close()


def test_entries_are_chained_from_the_first(logbook: Logbook) -> None:
    write_entries(logbook, 3)
    newest, middle, first = logbook.audit()
    assert first.previous == FIRST_PREVIOUS
    assert (middle.previous, newest.previous) == (first.hash, middle.hash)
    assert [newest.sequence, middle.sequence, first.sequence] == [3, 2, 1]
    assert first.detail == {"z": 1, "a": [1.0, None, "ü"]}
    assert logbook.audit(limit=1) == [newest]
    assert logbook.verify_audit() == 3


def test_entries_about_a_subject_are_found_however_old(logbook: Logbook) -> None:
    write_entries(logbook, 1)
    with logbook.write(None) as tx:
        for number in range(1_500):
            detail = {"subject": "remedy 1", "number": number}  # told of, not about
            tx.audit(actor="", action="note", database="d", subject="", detail=detail)
        tx.audit(actor="me", action="revert", database="d", subject="remedy 1", detail={})
    found = logbook.audit_about("remedy 1")
    assert [(entry.sequence, entry.action) for entry in found] == [(1502, "revert"), (1, "apply")]
    assert logbook.audit_about("remedy 1", limit=1) == found[:1]
    assert logbook.audit_about("remedy") == []


def test_entries_about_a_subject_are_looked_up_not_searched_for(
    path: Path, logbook: Logbook
) -> None:
    write_entries(logbook, 2)
    wire = connect(path, readonly=True)
    plan = wire.execute(
        "EXPLAIN QUERY PLAN SELECT body FROM audit WHERE "
        "CASE WHEN json_valid(body) THEN json_extract(body, '$.subject') END = 'remedy 1' "
        "ORDER BY sequence DESC LIMIT 9"
    ).rows
    wire.close()
    assert [str(row[-1]) for row in plan] == [
        "SEARCH audit USING INDEX audit_by_subject (<expr>=?)"
    ]


def test_an_empty_log_verifies(logbook: Logbook) -> None:
    assert logbook.verify_audit() == 0


def test_a_long_log_verifies(logbook: Logbook) -> None:
    with logbook.write(None) as tx:
        for _ in range(2500):
            tx.audit(actor="", action="", database="", subject="", detail={})
    assert logbook.verify_audit() == 2500


def test_numbers_that_json_lacks_do_not_break_the_chain(logbook: Logbook) -> None:
    with logbook.write(None) as tx:
        tx.audit(actor="", action="", database="", subject="", detail={"nan": float("nan")})
        tx.audit(actor="", action="", database="", subject="", detail={"key": {1: (1, 2)}})
    assert logbook.verify_audit() == 2


def test_sql_alone_cannot_change_or_delete_entries(path: Path, logbook: Logbook) -> None:
    write_entries(logbook, 2)
    wire = connect(path)
    for statement in ("UPDATE audit SET hash = ''", "DELETE FROM audit"):
        with pytest.raises(Exception, match="audit entries are never"):
            wire.execute(statement)
    wire.close()
    assert logbook.verify_audit() == 2


FOURTH = "SELECT body, hash FROM audit WHERE sequence = 4"
REHASHED = '{"text": "put together by somebody else"}'


@pytest.mark.parametrize(
    ("entry", "statement"),
    [
        (3, "UPDATE audit SET body = replace(body, 'remedy 3', 'remedy 9') WHERE sequence = 3"),
        (3, "UPDATE audit SET hash = replace(hash, 'a', 'b') || 'c' WHERE sequence = 3"),
        (3, "DELETE FROM audit WHERE sequence = 3"),
        (5, "DELETE FROM audit WHERE sequence = 5"),
        (1, "DELETE FROM audit"),
        (1, "DELETE FROM audit WHERE sequence = 1"),
        (2, f"UPDATE audit SET (body, hash) = ({FOURTH}) WHERE sequence = 2"),
        (6, "INSERT INTO audit (body, hash) SELECT body, hash FROM audit WHERE sequence = 5"),
    ],
)  # fmt: skip
def test_tampering_is_found_and_the_entry_named(
    path: Path, clock: ManualClock, entry: int, statement: str
) -> None:
    with Logbook.open(path, clock=clock) as logbook:
        write_entries(logbook, 5)
        tamper(path, statement)
        with pytest.raises(LogbookCorruptError, match=f"Audit entry {entry} "):
            logbook.verify_audit()


def test_an_entry_hashed_anew_breaks_the_next_link(path: Path, clock: ManualClock) -> None:
    with Logbook.open(path, clock=clock) as logbook:
        write_entries(logbook, 5)
        body = connect(path).execute("SELECT body FROM audit WHERE sequence = 2").scalar()
        forged = str(body).replace("remedy 2", "remedy 9")
        sql = f"UPDATE audit SET body = '{forged}', hash = '{digest(forged)}' WHERE sequence = 2"
        tamper(path, sql)
        with pytest.raises(LogbookCorruptError, match=r"Audit entry 3 .*entry before"):
            logbook.verify_audit()


def test_an_entry_that_is_no_entry_is_named(path: Path, clock: ManualClock) -> None:
    with Logbook.open(path, clock=clock) as logbook:
        write_entries(logbook, 1)
        tamper(path, f"UPDATE audit SET body = '{REHASHED}', hash = '{digest(REHASHED)}'")
        with pytest.raises(LogbookError, match="cannot be read"):
            logbook.verify_audit()
