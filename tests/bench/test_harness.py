"""What every benchmark prints: the stated JSON, a table, honest spreads."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from bench.harness import Figure, Options, Repeats, main, repeated, spent


def figures(options: Options) -> Iterator[Figure]:
    yield Figure("one.size", 92.34567, "MB", parameters={"quick": options.quick})
    yield Figure("one.time", 1.5, "ms", peer="bare SQLite", ratio=1.23456, engine="sqlite 3.54")


def test_json_is_one_object_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["bench", "--quick", "--json"])
    main(figures, about="")
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == {
        "name": "one.size",
        "value": 92.35,
        "unit": "MB",
        "peer": "",
        "ratio": None,
        "engine": "",
        "parameters": {"quick": True},
    }
    assert (second["peer"], second["ratio"]) == ("bare SQLite", 1.235)


def test_the_table_shows_value_peer_and_parameters(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["bench"])
    main(figures, about="")
    printed = capsys.readouterr().out
    assert "92.35 MB" in printed
    assert "1.23 x bare SQLite" in printed
    assert "quick False" in printed


def test_repeats_give_the_median_and_their_spread() -> None:
    figure = Repeats((0.003, 0.001, 0.009)).figure("a", "ms", scale=1000, parameters={"n": 1})
    assert figure.value == pytest.approx(3)
    assert figure.parameters == {"n": 1, "minimum": 1, "maximum": 9, "repeats": 3}
    assert len(repeated(lambda: None, times=4).values) == 4


def test_cpu_time_counts_work() -> None:
    with spent() as work:
        sum(range(2_000_000))
    assert 0 < work.cpu <= work.wall * 2
