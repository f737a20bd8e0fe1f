"""How a plan reads each table: from end to end, by an index, once or again and again.

From the plan's steps alone; pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from homeostat.engine.facets import Plan, PlanNode, TableInfo

AUTOMATIC = "AUTOMATIC"
_SEQUENTIAL = ("Seq Scan", "Parallel Seq Scan")
_INDEX_CONDITION = re.compile(r"index cond: (.*?)(?:, [a-z][a-z ]+: |\Z)")
_QUALIFIED = re.compile(r"(\w+|\"[^\"]+\")\.(?:\w+|\")")
_WORD = re.compile(r"\w+")
_HELD = ("Materialize", "Memoize", "Hash", "Sort")  # what is below runs once


@dataclass(frozen=True, slots=True)
class Read:
    """One step that reads a table.

    Attributes:
        relation: as the plan calls it.
        whole: whether it reads all of the table, or walks along all of an index.
        again: whether it does so once for each row of something else.
        columns: words of the condition by which an index finds rows; empty when `whole`.
        walked: whether it goes along an index without looking anything up: it may end early, at
            a LIMIT or with the rows that a partial index has.
    """

    relation: str
    whole: bool
    again: bool
    columns: frozenset[str]
    walked: bool = False


def reads_of(plan: Plan) -> list[Read]:
    """Return the steps of a plan that read a table."""
    found = _of_sqlite(plan.root) if plan.dialect == "sqlite" else _of_postgres(plan.root)
    return list(found)


def place_of(table: TableInfo) -> str:
    """Return what plans call a table."""
    return table.name if table.schema in {"", "public"} else f"{table.schema}.{table.name}"


def _of_sqlite(node: PlanNode, *, again: bool = False) -> Iterator[Read]:
    again = again or node.kind.startswith("CORRELATED")
    before = 0  # tables of the same join that are read outside of this one
    for child in node.children:
        if child.kind in {"SCAN", "SEARCH"} and child.relation is not None:
            automatic = AUTOMATIC in child.detail
            by_index = child.index is not None or "PRIMARY KEY" in child.detail
            whole = child.kind == "SCAN" or automatic or not by_index  # SEARCH for a MIN or MAX
            words = frozenset() if whole else frozenset(_words(child.detail))
            inner = before > 0 and not automatic
            walked = whole and child.index is not None and not automatic
            yield Read(child.relation, whole, again or inner, words, walked)
            before += 1
        yield from _of_sqlite(child, again=again)


def _of_postgres(node: PlanNode, *, again: bool = False) -> Iterator[Read]:
    if node.relation is not None and "Scan" in node.kind:
        condition = _INDEX_CONDITION.search(node.detail)
        indexed = node.index is not None or "Bitmap" in node.kind
        whole = node.kind in _SEQUENTIAL or (indexed and condition is None)
        prefixes = {name.lower() for name in _QUALIFIED.findall(node.detail)}
        bitmap = node.kind == "Bitmap Heap Scan"  # the index below it says
        if not bitmap:
            words = frozenset(_words(condition[1])) if condition else frozenset[str]()
            yield Read(node.relation, whole, again or len(prefixes) > 1, words, whole and indexed)
    loop = node.kind.startswith("Nested Loop")
    for number, child in enumerate(node.children):
        inner = (again or (loop and number == 1)) and not node.kind.startswith(_HELD)
        yield from _of_postgres(child, again=inner and not child.kind.startswith(_HELD))


def _words(text: str) -> Iterator[str]:
    for word in _WORD.findall(text):
        yield word.lower()
