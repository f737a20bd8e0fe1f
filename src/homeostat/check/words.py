"""Sizes, lengths of time, evidence and costs as people say them."""

from __future__ import annotations

from collections.abc import Collection

from homeostat.check.report import Cost, Finding
from homeostat.measure import size_text

RISKS = (
    (1.0, "a risk that is here now"),
    (0.7, "a risk that is near"),
    (0.4, "a risk"),
    (0.0, "a small risk"),
)
UNITS = {"bytes", "seconds", "share", "ms"}
SESSION_MS = 1000.0  # a session that is busy all the time, in milliseconds a second
SHARE_LEAST = 0.001


def span(seconds: float) -> str:
    """Return a length of time in one unit: `12 s`, `3 min`, `5 h`, `4 days`."""
    for unit, length in (("days", 86_400.0), ("h", 3_600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.3g} s"


def listed(names: list[str], *, most: int = 5) -> str:
    """Return names with commas; those past the first few are counted."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def cost_words(cost: Cost) -> str:
    """Return what a finding costs: `12 MB taken for nothing`, `3.4 % of one session's time`."""
    if cost.kind == "bytes":
        return f"{size_text(cost.amount)} taken for nothing"
    if cost.kind == "risk":
        return next(said for near, said in RISKS if cost.amount >= near)
    sessions = cost.amount / SESSION_MS
    if not sessions:
        return "time, how much was not measured"
    if sessions >= 1:
        return f"the whole time of {sessions:.3g} session{'s' if sessions > 1 else ''}"
    if sessions < SHARE_LEAST:
        return f"less than {100 * SHARE_LEAST:g} % of one session's time"
    return f"{100 * sessions:.2g} % of one session's time"


def evidence_words(finding: Finding) -> list[tuple[str, str]]:
    """Return names and values as people read them: sizes, lengths of time, shares, numbers."""
    return [
        (_label(name, finding.evidence), _said(name, value))
        for name, value in finding.evidence.items()
        if value is not None
    ]


def _label(name: str, names: Collection[str]) -> str:
    """Return a name without its unit, which stands at the value, unless another has that name."""
    short, _, unit = name.rpartition("_")
    return (short if short and unit in UNITS and short not in names else name).replace("_", " ")


def _said(name: str, value: float | str) -> str:
    if isinstance(value, str):
        return value
    unit = name.rpartition("_")[2]
    if unit == "bytes":
        return size_text(value)
    if unit == "seconds":
        return span(value)
    if unit == "share":
        return f"{100 * value:.1f} %"
    count = f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4g}"
    return f"{count} ms" if unit == "ms" else count
