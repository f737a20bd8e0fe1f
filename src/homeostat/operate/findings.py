"""The findings of one database: opened, updated and cleared as rules judge.

A finding is (rule, subject). It is written when it opens, clears, or changes in severity or cause,
else at most every `WRITE_SECONDS`: a standing trouble costs a commit now and then, not every tick.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from homeostat.logbook import Logbook
from homeostat.logbook.rows import Finding
from homeostat.measure import Subject
from homeostat.operate.ownership import Ownership
from homeostat.operate.rule import Judgement, Rule, Undecided

WRITE_SECONDS = 15.0
NUMBER = re.compile(r"[\d.,]+")

Key = tuple[str, Subject]


@dataclass(slots=True)
class _Open:
    finding: Finding
    written: float
    quiet_ticks: int = 0


def _sense(finding: Finding) -> tuple[str, ...]:
    """Return what makes a finding another one to a person: its words, not its numbers."""
    words = (NUMBER.sub("#", text) for text in (finding.cause, finding.mend))
    return (finding.severity, *words)


def _subject(finding: Finding) -> Subject:
    return Subject(finding.database, finding.instance, finding.kind, finding.name)


class FindingBook:
    """Open findings of one database; safe to use from any thread."""

    def __init__(self, logbook: Logbook, database: str, ownership: Ownership) -> None:
        self._logbook = logbook
        self._ownership = ownership
        self._database = database
        self._lock = threading.RLock()
        self._open: dict[Key, _Open] = {}
        for finding in logbook.findings(database=database, open_only=True):
            self._open[finding.rule, _subject(finding)] = _Open(finding, finding.updated)

    def open(self) -> list[Finding]:
        """Return the open findings, the newest first."""
        with self._lock:
            found = [one.finding for one in self._open.values()]
        return sorted(found, key=lambda finding: -finding.opened)

    def get(self, number: int) -> Finding | None:
        """Return an open finding by its number."""
        return next((finding for finding in self.open() if finding.id == number), None)

    def judge(self, rule: Rule, judged: Iterable[Judgement | Undecided], *, at: float) -> None:
        """Take what a rule said about this database at a time.

        Raises:
            LogbookError: a change could not be stored; it is tried again at the next tick.
        """
        with self._lock:
            seen: set[Subject] = set()
            for one in judged:
                seen.add(one.subject)
                if isinstance(one, Judgement):
                    self._judged(rule.name, one, at)
            for key, entry in list(self._open.items()):
                if key[0] == rule.name and key[1] not in seen:
                    entry.quiet_ticks += 1
                    if entry.quiet_ticks >= rule.clear_ticks:
                        self._clear(key, entry, at)

    def raise_finding(self, rule: str, judgement: Judgement, *, at: float) -> None:
        """Open or update a finding of the operator's own."""
        with self._lock:
            self._judged(rule, judgement, at)

    def clear_finding(self, rule: str, subject: Subject, *, at: float) -> None:
        """Clear a finding of the operator's own, if it is open."""
        with self._lock:
            entry = self._open.get((rule, subject))
            if entry is not None:
                self._clear((rule, subject), entry, at)

    def _judged(self, rule: str, judgement: Judgement, at: float) -> None:
        key = (rule, judgement.subject)
        entry = self._open.get(key)
        old = entry.finding if entry else None
        subject = judgement.subject
        new = Finding(
            id=old.id if old else 0,
            database=subject.database,
            instance=subject.instance,
            kind=subject.kind,
            name=subject.name,
            rule=rule,
            severity=str(judgement.severity),
            what=judgement.what,
            cause=judgement.cause,
            mend=judgement.mend,
            evidence=judgement.evidence,
            opened=old.opened if old else at,
            updated=at,
        )
        if entry is not None and old is not None:
            entry.quiet_ticks = 0
            if _sense(old) == _sense(new) and at - entry.written < WRITE_SECONDS:
                entry.finding = new
                return
        with self._logbook.write(self._ownership.tenure) as tx:
            new = tx.save_finding(new)
        self._open[key] = _Open(new, at)

    def _clear(self, key: Key, entry: _Open, at: float) -> None:
        cleared = msgspec.structs.replace(entry.finding, state="cleared", updated=at, cleared=at)
        with self._logbook.write(self._ownership.tenure) as tx:
            tx.save_finding(cleared)
        del self._open[key]
