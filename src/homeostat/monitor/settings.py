"""The rule about settings that promise less than people expect of a database.

What a setting means is from the manuals: PostgreSQL "Reliability and the Write-Ahead Log" and
"Asynchronous Commit", SQLite "PRAGMA journal_mode".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from homeostat.measure import Severity
from homeostat.monitor.metrics import ANSWERED
from homeostat.operate.rule import Judgement, Undecided, View

LOSES_ALL = "a crash of the machine can destroy the database"
LOSES_LAST = "a crash can lose transactions that were reported as committed"
BLOCKS = "a writer blocks readers, and readers block it"


@dataclass(frozen=True, slots=True)
class Weak:
    """A setting's value that promises less, what that means, and what to set."""

    name: str
    values: tuple[str, ...]
    severity: Severity
    means: str
    mend: str


WEAK: dict[str, tuple[Weak, ...]] = {
    "postgresql": (
        Weak("fsync", ("off",), Severity.WARNING, LOSES_ALL, "Set fsync = on."),
        Weak(
            "full_page_writes", ("off",), Severity.WARNING, LOSES_ALL, "Set full_page_writes = on."
        ),
        Weak(
            "synchronous_commit",
            ("off",),
            Severity.INFO,
            LOSES_LAST,
            "Set synchronous_commit = on where every commit counts.",
        ),
    ),
    "sqlite": (
        Weak(
            "journal_mode",
            ("off", "memory"),
            Severity.WARNING,
            LOSES_ALL,
            "Run PRAGMA journal_mode = WAL in the application.",
        ),
        Weak(
            "journal_mode",
            ("delete", "truncate", "persist"),
            Severity.INFO,
            BLOCKS,
            "Run PRAGMA journal_mode = WAL in the application; the file keeps it.",
        ),
    ),
}


@dataclass(frozen=True, slots=True)
class Durability:
    """Opens for each setting in force that weakens durability or concurrency."""

    name: str = "weak-setting"
    help: str = (
        "A setting in force promises less than is expected: fsync, full_page_writes or "
        "synchronous_commit off; an SQLite file that is not in WAL mode. SQLite's synchronous "
        "belongs to each connection and is not seen from outside. Change it, or know the risk."
    )
    after: str = "health"
    clear_ticks: int = 1

    def judge(self, view: View) -> Iterable[Judgement | Undecided]:
        """Judge the settings that came with the newest health check."""
        weak = WEAK.get(view.identity.dialect, ())
        last = view.recent.last(ANSWERED, view.subject())
        answered = last is not None and last.value == 1.0
        for one in weak:
            subject = view.subject("setting", one.name)
            if last is None or not answered or one.name not in last.texts:
                yield Undecided(subject)
                continue
            value = last.texts[one.name].lower()
            if value in one.values:
                yield Judgement(
                    subject,
                    one.severity,
                    f"{one.name} is {value}: {one.means}",
                    cause=f"{one.name} = {value} is set",
                    mend=one.mend,
                    evidence={one.name: value},
                )
