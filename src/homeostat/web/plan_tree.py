"""A plan as a tree for people: each step in words, its part of the whole, and what stands out.

Reads a plan as the API gives it; an engine that gives no numbers (SQLite) gets none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from homeostat.web.words import milliseconds, number

MISJUDGED = 10.0  # rows expected and seen this far apart, as `tune.estimate_factor`
ROWS_MIN = 100.0  # misjudging fewer rows costs nothing
SCANS = ("SCAN", "Seq Scan", "Parallel Seq Scan")


@dataclass(frozen=True, slots=True)
class Branch:
    """One step of a plan.

    Attributes:
        kind: as the engine calls it.
        where: the table, and the index if one is used.
        detail: conditions, redacted.
        readings: what was expected or measured, in words.
        share: percent of the whole plan's time or cost in this step itself; None: not known.
        warning: what stands out; empty: nothing.
    """

    kind: str
    where: str
    detail: str
    readings: str
    share: float | None
    warning: str
    children: list[Branch] = field(default_factory=list)


def tree(plan: dict[str, Any]) -> Branch:
    """Return a plan's tree."""
    root = plan["root"]
    measure = "total_ms" if root.get("total_ms") else "cost"
    return _branch(root, measure, float(root.get(measure) or 0.0), 1.0)


def summary(plan: dict[str, Any]) -> str:
    """Return in words how a plan was come by, and what it read."""
    parts = ["executed" if plan.get("executed") else "estimated, not run"]
    for name, words in (
        ("rows_read", "rows read by scans"),
        ("blocks_read", "pages read from below the cache"),
    ):
        if plan.get(name) is not None:
            parts.append(f"{number(plan[name])} {words}")
    if plan.get("total_ms") is not None:
        parts.append(milliseconds(plan["total_ms"]))
    return ", ".join(parts)


def _branch(step: dict[str, Any], measure: str, whole: float, scale: float) -> Branch:
    """Return a step and those below it.

    Below a step that stops early, such as a limit, the planner still tells what all rows would
    cost; `scale` is the part of that which is paid.
    """
    children = step.get("children") or []
    spent = float(step.get(measure) or 0.0) * scale
    below = sum(float(child.get(measure) or 0.0) for child in children) * scale
    paid = min(1.0, spent / below) if below else 1.0
    own = spent - below * paid
    where = str(step.get("relation") or "")
    if step.get("index"):
        where = f"{where} by {step['index']}".strip()
    return Branch(
        kind=str(step.get("kind") or ""),
        where=where,
        detail=str(step.get("detail") or ""),
        readings=_readings(step),
        share=round(100 * max(0.0, own) / whole, 1) if whole else None,
        warning=_warning(step),
        children=[_branch(child, measure, whole, scale * paid) for child in children],
    )


def _readings(step: dict[str, Any]) -> str:
    parts = []
    for name, words in (("rows_estimated", "rows expected"), ("rows", "came")):
        if step.get(name) is not None:
            parts.append(f"{number(step[name])} {words}")
    if step.get("removed"):
        parts.append(f"{number(step['removed'])} thrown away")
    if step.get("loops") not in {None, 1}:
        parts.append(f"{number(step['loops'])} times")
    if step.get("total_ms") is not None:
        parts.append(milliseconds(step["total_ms"]))
    elif step.get("cost") is not None:
        parts.append(f"cost {number(step['cost'])}")
    return ", ".join(parts)


def _warning(step: dict[str, Any]) -> str:
    expected, came = step.get("rows_estimated"), step.get("rows")
    if expected is not None and came is not None and max(expected, came) >= ROWS_MIN:
        factor = max(expected, came, 1.0) / max(min(expected, came), 1.0)
        if factor >= MISJUDGED:
            return (
                f"{number(factor, 2)} times {'fewer' if came < expected else 'more'} than expected"
            )
    if step.get("kind") in SCANS and not step.get("index"):
        return "reads the whole table"
    if "AUTOMATIC" in str(step.get("index") or "") or "TEMP B-TREE" in str(step.get("kind") or ""):
        return "builds an index for this call alone"
    return ""
