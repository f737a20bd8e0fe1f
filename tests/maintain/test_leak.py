"""An application that does not give connections back: what the operator says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from homeostat.access.protocol import LeakReport
from homeostat.config import PoolConfig
from homeostat.maintain.leak import ConnectionLeak
from homeostat.measure import Severity
from homeostat.operate.remedy import Declined, Proposal
from homeostat.operate.rule import AgentView, Judgement, View
from tests.maintain.test_pool import POOL, agent, proposed, view

HELD = LeakReport("import", 45.0, ["shop/load.py:12 begin", "shop/main.py:3 main"])
LOST = LeakReport("export", 2.0, ["shop/save.py:7 save"], lost=True)


def leaking(
    *leaks: LeakReport,
    ticks: Sequence[Mapping[str, float]] = ({},),
    pool: PoolConfig | None = None,
) -> View:
    one = agent(limit=2, default=2)
    pools = [msgspec.structs.replace(one.report.pools[0], leaks=list(leaks))]
    report = msgspec.structs.replace(one.report, pools=pools)
    seen = AgentView(
        one.name, one.application, one.pid, one.host, one.capabilities, 0, one.heard, report
    )
    return view(*ticks, agents=(seen,), pool=pool)


def test_the_operation_and_the_place_are_named() -> None:
    (found,) = ConnectionLeak().judge(leaking(HELD, LOST))
    assert isinstance(found, Judgement)
    assert found.subject == POOL
    assert found.severity == Severity.WARNING
    assert found.what == "shop: import holds a connection for 45 s without a statement; 1 more"
    assert found.cause == "taken at shop/load.py:12 begin and not given back"
    assert found.evidence["stack"] == "shop/load.py:12 begin < shop/main.py:3 main"


def test_a_pool_held_whole_is_worse_and_a_lost_connection_is_told() -> None:
    (found,) = ConnectionLeak().judge(leaking(HELD, HELD))
    assert isinstance(found, Judgement)
    assert found.severity == Severity.HIGH
    (found,) = ConnectionLeak().judge(leaking(LOST))
    assert isinstance(found, Judgement)
    assert found.what == "shop: export lost a connection, which the pool took back"


def test_a_pool_is_not_grown_for_what_leaks() -> None:
    """What leaks would take the new connections too."""
    seen = leaking(HELD, ticks=[{}] * 5)
    found = proposed(seen)
    assert isinstance(found, Declined)
    assert "import leaks connections, taken at shop/load.py:12 begin" in found.reason
    assert isinstance(proposed(leaking(LOST, ticks=[{}] * 5)), Proposal)
    few = PoolConfig(leaked_share_max=0.6)
    assert isinstance(proposed(leaking(HELD, ticks=[{}] * 5, pool=few)), Proposal)


def test_without_leaks_nothing_is_wrong() -> None:
    assert list(ConnectionLeak().judge(leaking())) == []
