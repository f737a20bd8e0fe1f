"""The rule that says that a database does not answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from homeostat.measure import Severity
from homeostat.monitor.metrics import ANSWERED
from homeostat.operate.rule import Judgement, Undecided, View

NAME = "unreachable"


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Opens at the first probe that gets no answer, clears at the first that does."""

    name: str = NAME
    help: str = (
        "The database does not answer Homeostat's probes (VISION: health every 30 s). The finding "
        "carries the driver's error, which says what to do. Observing goes on by itself."
    )
    after: str = "performance"
    clear_ticks: int = 1

    def judge(self, view: View) -> Iterable[Judgement | Undecided]:
        """Judge the last try."""
        if not view.error:
            return
        window = view.recent.window(ANSWERED, view.subject(), ticks=512)
        answered = [sample.at for sample in window if sample.value == 1.0]
        since = f"; it last answered {view.at - answered[-1]:.0f} s ago" if answered else ""
        yield Judgement(
            view.subject(),
            Severity.CRITICAL,
            f"the database is unreachable: {view.error}{since}",
            cause=view.error,
            mend="Do what the error says; Homeostat tries again at every tick.",
            evidence={
                "error": view.error,
                "last_answered": answered[-1] if answered else None,
                "agents": len(view.agents),
            },
        )
