from __future__ import annotations

import msgspec

from homeostat.cli.shapes import PRINTS
from homeostat.operate.views import COUNTED_MAX
from tests.cli.stage import Described, Run_, explained


def test_a_statement_is_told_with_its_plan_as_a_tree(homeostat: Run_, operator: Described) -> None:
    lines = homeostat("explain", "3").out.splitlines()
    assert lines[0] == "orders_of"
    assert any("40 ms a call" in line and "800 ms of every second" in line for line in lines)
    assert any("120 bytes received and 8 sent a call" in line for line in lines)
    assert any("25% of the calls waited for a connection; 1.5 ms a call" in line for line in lines)
    assert any("cause: missing index" in line for line in lines)
    assert "  └─ SCAN orders" in lines
    assert any(line == "table orders: 60,000 rows, 3 match" for line in lines)
    assert "an index would find 3 of 60,000 rows: orders (customer_id)" in lines
    assert "an index might serve it: orders (placed)" in lines
    assert any("build an index on orders" in line for line in lines)


def test_rows_past_which_nobody_counted_are_told_as_at_least(
    homeostat: Run_, operator: Described
) -> None:
    facts = explained().facts
    facts["tables"]["orders"]["rows"] = facts["candidates"][0]["rows"] = float(COUNTED_MAX)
    operator.explained = msgspec.structs.replace(explained(), facts=facts)
    lines = homeostat("explain", "3").out.splitlines()
    assert "table orders: at least 500,000 rows, 3 match" in lines
    assert "an index would find 3 of at least 500,000 rows: orders (customer_id)" in lines


def test_json_is_the_shape_that_is_promised(homeostat: Run_, operator: Described) -> None:
    printed = homeostat("explain", "3", "--json")
    assert msgspec.json.decode(printed.out, type=PRINTS["explain"]) == explained()


def test_what_is_not_known_is_said(homeostat: Run_, operator: Described) -> None:
    said = homeostat("explain", "999")
    assert said.code == 1
    assert "nothing of this number or name" in said.err
