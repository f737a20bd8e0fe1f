"""A slow statement is told with its cause, not as unknown a moment before the cause is known."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import msgspec
import pytest

from homeostat.config import Config, TuneConfig
from homeostat.engine import Engine, open_engine
from homeostat.engine.engine import Target
from homeostat.operate.probe import Watched
from homeostat.operate.recent import Recent
from homeostat.operate.rule import Judgement, Undecided, View
from homeostat.tune.probes import StatementProbe
from homeostat.tune.slow import SlowStatement
from tests.operate.test_agents import report
from tests.tune.application import open_wire
from tests.tune.test_follow import NOW, called

CONFIG = Config(tune=TuneConfig(calls_min=1, slow_query_ms=5.0, cost_ms_per_second=0.1))
FIND = "SELECT b FROM things WHERE a = :a"
NUMBERS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)"


class Look:
    """A database and what an operator would do about its statements, a step at a time."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.watched = Watched(engine, engine.identity(), NOW)
        self.config = CONFIG

    def call(self, *, ms: float) -> None:
        """Let an application tell of a call."""
        self.watched.statements.take_report(report(samples=[called(FIND, ms)]), self.watched.at)

    def probe(self) -> None:
        self.watched.at += 1.0
        list(StatementProbe(self.config).read(self.watched))

    def judged(self) -> list[str]:
        """Return the kinds of the causes that the rule tells now; `?` where it cannot decide."""
        view = View(
            at=self.watched.at,
            identity=self.watched.identity,
            config=self.config,
            recent=Recent(),
            statements=self.watched.statements,
        )
        found = list(SlowStatement().judge(view))
        assert all(isinstance(one, Judgement | Undecided) for one in found)
        return [str(one.evidence["cause"]) if isinstance(one, Judgement) else "?" for one in found]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    name = {"sqlite": "sqlite_path", "postgresql": "pg_database"}[request.param]
    url = str(request.getfixturevalue(name))
    with closing(open_wire(url)) as wire:
        wire.execute("CREATE TABLE things (a integer, b integer)")
        wire.execute(f"INSERT INTO things {NUMBERS} SELECT i, i FROM n")
    return url


@pytest.fixture
def look(url: str) -> Iterator[Look]:
    with closing(open_engine(Target(url, application_name="test"))) as engine:
        yield Look(engine)


def test_what_became_slow_after_the_probe_looked_waits_for_the_next_look(look: Look) -> None:
    look.call(ms=0.1)
    look.probe()
    assert look.judged() == []
    look.call(ms=20.0)
    assert look.judged() == ["?"]
    look.probe()
    assert look.judged() == ["missing index"]


def test_what_could_not_be_counted_in_time_is_counted_again_before_a_cause_is_told(
    look: Look,
) -> None:
    tune = msgspec.structs.replace(CONFIG.tune, explain_ms=1.0)
    look.config = msgspec.structs.replace(CONFIG, tune=tune)
    look.call(ms=20.0)
    look.probe()
    assert look.judged() == ["?"]
    look.config = CONFIG
    look.probe()
    assert look.judged() == ["missing index"]


def test_what_can_never_be_counted_is_told_as_unknown(look: Look) -> None:
    tune = msgspec.structs.replace(CONFIG.tune, explain_ms=1.0)
    look.config = msgspec.structs.replace(CONFIG, tune=tune)
    look.call(ms=20.0)
    look.probe()
    look.probe()
    assert look.judged() == ["unknown"]
