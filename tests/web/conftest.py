"""A site of a fake operator with one database, on a clock that the test moves.

One server serves a whole module, since starting and stopping one takes 0.3 s; its operator forgets
everything before each test. What is about streams or restarts starts servers of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from homeostat.clock import ManualClock
from tests.web.fake import FakeConsole
from tests.web.site import Site, running_site


@pytest.fixture(scope="module")
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(scope="module")
def standing(clock: ManualClock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    console = FakeConsole(clock.now)
    with running_site(console, tmp_path_factory.mktemp("data"), clock=clock) as running:
        yield running


@pytest.fixture
def console(standing: Site) -> FakeConsole:
    standing.console.reset()
    return standing.console


@pytest.fixture
def site(standing: Site, console: FakeConsole) -> Site:
    return standing
