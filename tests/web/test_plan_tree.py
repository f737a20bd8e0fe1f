"""A plan as a tree: where the time goes, what stands out, and no number that is not known."""

from __future__ import annotations

from homeostat.web.plan_tree import summary, tree

SEQ = {"kind": "Seq Scan", "relation": "orders", "cost": 80.0, "rows_estimated": 10.0, "rows": 5000}
JOIN = {"kind": "Hash Join", "cost": 100.0, "rows_estimated": 10.0, "children": [SEQ]}


def test_each_step_has_its_own_part_of_the_whole() -> None:
    root = tree({"root": JOIN})
    assert (root.share, root.children[0].share) == (20.0, 80.0)


def test_what_stands_below_a_limit_has_its_part_of_what_is_paid() -> None:
    scan = {"kind": "Index Scan", "relation": "orders", "cost": 2000.0}
    sort = {"kind": "Sort", "cost": 2500.0, "children": [scan]}
    root = tree({"root": {"kind": "Limit", "cost": 50.0, "children": [sort]}})
    (above,) = root.children
    (lowest,) = above.children
    assert (root.share, above.share, lowest.share) == (0.0, 20.0, 80.0)


def test_a_misjudged_step_says_by_how_much() -> None:
    assert tree({"root": JOIN}).children[0].warning == "500 times more than expected"


def test_a_plan_without_numbers_claims_none() -> None:
    scan = {"kind": "SCAN", "relation": "orders"}
    root = tree({"root": {"kind": "QUERY PLAN", "children": [scan]}})
    assert (root.share, root.readings) == (None, "")
    assert root.children[0].warning == "reads the whole table"
    search = {"kind": "SEARCH", "relation": "orders", "index": "orders_pk"}
    assert tree({"root": search}).warning == ""
    assert summary({"root": scan}) == "estimated, not run"
