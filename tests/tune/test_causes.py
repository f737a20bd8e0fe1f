"""Planted slow statements, through an application and an operator: the cause that is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.causes import RIGHT_SHARE, Told, told
from bench.planted import PLANTED, Planted
from bench.planted_more import MORE
from homeostat.config import TuneConfig
from homeostat.operate.statements import Spent, StatementView
from homeostat.tune.causes import MANY_ROWS, many_rows

FEW = ("equality", "either", "view", "in_query", "order_by", "export", "one_by_one", "contains")
FEW_SECONDS = 6.0
ALL_SECONDS = 24.0


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    name = {"sqlite": "sqlite_path", "postgresql": "pg_database"}[request.param]
    return str(request.getfixturevalue(name))


def named(*names: str) -> list[Planted]:
    return [one for one in PLANTED if one.name in names]


def told_of(found: list[Told]) -> dict[str, str]:
    return {one.planted.name: one.sentence for one in found if not one.right}


@pytest.mark.slow
def test_causes_of_planted_statements_are_told(url: str, tmp_path: Path) -> None:
    found = told(url, tmp_path / "data", [*named(*FEW), *MORE], seconds=FEW_SECONDS)
    assert told_of(found) == {}
    both = next(one.sentence for one in found if one.planted.name == "either_of_three")
    assert "customer_id" in both
    assert "total" in both


@pytest.mark.long
def test_at_most_one_in_twenty_is_told_wrongly(url: str, tmp_path: Path) -> None:
    found = told(url, tmp_path / "data", PLANTED + MORE, seconds=ALL_SECONDS)
    assert sum(one.right for one in found) >= RIGHT_SHARE * len(found), told_of(found)
    assert sum(one.wrong for one in found) <= len(found) // 20, told_of(found)


def returning(rows: float, mean_ms: float) -> StatementView:
    return StatementView(
        key="0" * 16,
        text="SELECT ...",
        sql="SELECT ...",
        write=False,
        operations=("export",),
        applications=("shop",),
        seconds=10.0,
        spent=Spent(0.0, 1.0, mean_ms, rows),
        source="agents",
        per_transaction={},
        waited_share=None,
        samples=(),
        plans=(),
        facts={},
        first_seen=0.0,
    )


def test_many_rows_are_no_cause_where_each_of_them_is_dear() -> None:
    found = many_rows(returning(2_000, 40.0), TuneConfig())
    assert found is not None
    assert found.kind == MANY_ROWS
    assert many_rows(returning(2_000, 2_000.0), TuneConfig()) is None, (
        "1 ms a row is something else"
    )
