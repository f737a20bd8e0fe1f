"""What plans of both engines have in common: their shape, and how they are drawn in a terminal."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from homeostat.engine.facets import Plan, PlanNode

SHAPE_DIGITS = 16


def shape_of(root: PlanNode) -> str:
    """Return 16 hex digits, equal for plans of the same steps, relations and indexes."""
    lines = (
        f"{depth}\t{node.kind}\t{node.relation or ''}\t{node.index or ''}"
        for depth, node in walk(root)
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:SHAPE_DIGITS]


def walk(root: PlanNode, depth: int = 0) -> Iterator[tuple[int, PlanNode]]:
    """Yield every step with its depth, each before those below it."""
    yield depth, root
    for child in root.children:
        yield from walk(child, depth + 1)


def render_plan(plan: Plan) -> list[str]:
    """Return the plan as lines of text, a tree with readings; without colour and of any width."""
    lines = list(_lines(plan.root, "", ""))
    readings = []
    if plan.total_ms is not None:
        readings.append(f"{plan.total_ms:.3g} ms")
    if plan.rows_read is not None:
        readings.append(f"{plan.rows_read:,.0f} rows read by scans")
    if plan.blocks_read is not None:
        readings.append(f"{plan.blocks_read:,.0f} pages read from below the cache")
    head = "executed" if plan.executed else "estimated, not run"
    return [": ".join([head, ", ".join(readings)]) if readings else head, *lines]


def _lines(node: PlanNode, first: str, rest: str) -> Iterator[str]:
    yield first + _line(node)
    for number, child in enumerate(node.children, 1):
        last = number == len(node.children)
        yield from _lines(
            child, rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  ")
        )


def _line(node: PlanNode) -> str:
    head = node.kind
    if node.relation is not None:
        head += f" {node.relation}"
    if node.index is not None:
        head += f" by {node.index}"
    readings = []
    if node.rows_estimated is not None:
        readings.append(f"{node.rows_estimated:,.0f} rows expected")
    if node.rows is not None:
        readings.append(f"{node.rows:,.0f} came")
    if node.removed:
        readings.append(f"{node.removed:,.0f} thrown away")
    if node.loops is not None and node.loops != 1:
        readings.append(f"{node.loops:,.0f} times")
    if node.total_ms is not None:
        readings.append(f"{node.total_ms:.3g} ms")
    elif node.cost is not None:
        readings.append(f"cost {node.cost:,.0f}")
    tail = f"  ({', '.join(readings)})" if readings else ""
    return f"{head}{f'  {node.detail}' if node.detail else ''}{tail}"
