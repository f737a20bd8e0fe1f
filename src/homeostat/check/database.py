"""Run every check of a database's engine, rank what they find, and say what was not seen."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from homeostat.check.budget import Budget
from homeostat.check.check import Check
from homeostat.check.look import Look
from homeostat.check.postgres_machine import cpu_of_backend
from homeostat.check.registry import checks_of
from homeostat.check.report import Database, Finding, Report, Unseen, ranked
from homeostat.check.sqlite_rebuild import told_apart
from homeostat.clock import Clock, SystemClock
from homeostat.config import Config
from homeostat.driver.tokens import quoted
from homeostat.engine import Engine, Target, Unsupported, open_engine
from homeostat.errors import (
    ConnectError,
    ConnectionLostError,
    DatabaseError,
    DatabaseLockedError,
    DeadlineExceededError,
    RightMissingError,
)

SECONDS = 60.0


class DatabaseCheck:
    """Looks at a database once; changes nothing."""

    def __init__(self, config: Config | None = None, *, clock: Clock | None = None) -> None:
        """Take thresholds and a clock; None: the defaults, and real time."""
        self._config = config or Config()
        self._clock = clock or SystemClock()

    def run(
        self, url: str, *, seconds: float = SECONDS, options: dict[str, str] | None = None
    ) -> Report:
        """Return what is wrong with the database at a URL.

        Args:
            url: a path, `sqlite:///path` or `postgresql://...`, directly or through a pooler.
            seconds: the longest it may take, connecting apart.
            options: as of `Target.options`: where the password or key comes from.

        Raises:
            ConfigError: the URL is of no engine that is known.
            SecretError: the password or key cannot be read.
            DatabaseError: the database cannot be opened, or went away meanwhile.
        """
        target = Target(
            url,
            application_name="homeostat check",
            options=options or {},
            session_settings=False,
            clock=self._clock,
        )
        engine = open_engine(target)
        try:
            return self.look_at(engine, seconds=seconds)
        finally:
            engine.close()

    def look_at(self, engine: Engine, *, seconds: float = SECONDS) -> Report:
        """Return what is wrong with the database of an open engine; see `run`."""
        budget = Budget(
            seconds=seconds, load_share=self._config.check.load_share, clock=self._clock
        )
        look = Look(engine, config=self._config, at=self._clock.now(), budget=budget)
        role = _role(look)
        look.role = quoted(role) if role else ""
        if role and not isinstance(engine.control, Unsupported):  # a pooler changes processes
            budget.measure_by(cpu_of_backend(look))
        checks = checks_of(engine.dialect)
        findings: list[Finding] = []
        for place, check in enumerate(checks):
            if budget.spent:
                look.unseen.append(_rest(checks[place:], budget.spent))
                break
            findings += self._judge(check, look)
        identity = engine.identity()
        database = Database(
            key=identity.key,
            label=identity.label,
            dialect=identity.dialect,
            version=identity.version,
            role=role,
            at=look.at,
            seconds=round(budget.seconds, 3),
            busy_seconds=round(budget.busy_seconds, 3),
            checks=len(checks),
        )
        return Report(database=database, findings=ranked(told_apart(findings)), unseen=look.unseen)

    def _judge(self, check: Check, look: Look) -> Sequence[Finding]:
        """Return a check's costliest findings; what stands in its way becomes a gap."""
        found: list[Finding] = []
        try:
            for one in check.judge(look):
                found.append(msgspec.structs.replace(one, rule=check.rule))  # noqa: PERF401  # what came before an error is kept
        except (ConnectError, ConnectionLostError):
            raise
        except DatabaseError as error:
            look.miss(check.sees, reason=str(error), mend=_mend(error, check, look))
        limit = self._config.check.findings_max
        if len(found) > limit:
            look.miss(
                f"{len(found) - limit} more findings of {check.rule}",
                reason=f"only the {limit} costliest findings of a rule are listed",
                mend="Mend those listed and check again, or raise [check] findings_max.",
            )
        return ranked(found)[:limit]


def _role(look: Look) -> str | None:
    """Return the role that asks; None on SQLite, which has none."""
    if look.engine.dialect != "postgresql":
        return None
    return str(look.execute("SELECT current_user").scalar())


def _rest(checks: Sequence[Check], spent: str) -> Unseen:
    names = ", ".join(one.sees for one in checks)
    return Unseen(what=names, reason=spent, mend="Give it longer: --seconds 300.")


def _mend(error: DatabaseError, check: Check, look: Look) -> str:
    if isinstance(error, RightMissingError):
        return check.mend.format(role=look.role)
    if isinstance(error, DeadlineExceededError):
        return "Check again when there is less load, or give it longer: --seconds 300."
    if isinstance(error, DatabaseLockedError):
        return "Check again when the lock is released; `lock_chain` names who holds it."
    return "Report this with the text of the error; the other checks were done."
