"""A pytest plugin that knows which tests take long: the quick set leaves them out.

It also leaves out tests that need a PostgreSQL server; each makes a database of its own.

    scripts/test --only tests -- -p scripts.durations --record-slow    # measure again
    scripts/test --quick                                               # uses the list

The list is tests/slow.txt: test functions with the seconds they took, set-up and tear-down
included. A test that is not on it counts as quick. With `--longest-first` the processes that share
the tests begin with those that take longest, so that none is left with one when the others end.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

SLOW_SECONDS = 0.2  # some 500 tests below it take 10 s together
LIST = Path(__file__).resolve().parent.parent / "tests" / "slow.txt"
HEAD = (
    "# Tests left out of the quick set, with the seconds they took. Written by\n"
    "# `scripts/test --only tests -- -p scripts.durations --record-slow`.\n"
)

_seconds: dict[str, float] = defaultdict(float)


def function_of(nodeid: str) -> str:
    """Return a test's id without its parameters."""
    return nodeid.partition("[")[0]


def slow_functions(text: str) -> dict[str, float]:
    """Return the listed functions with their seconds."""
    pairs = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(seconds) for name, seconds in pairs}


def slow_list(seconds: dict[str, float]) -> str:
    """Return the list of the functions whose slowest case took long."""
    worst: dict[str, float] = defaultdict(float)
    for nodeid, taken in seconds.items():
        worst[function_of(nodeid)] = max(worst[function_of(nodeid)], taken)
    lines = [
        f"{name} {taken:.1f}\n" for name, taken in sorted(worst.items()) if taken >= SLOW_SECONDS
    ]
    return HEAD + "".join(lines)


def longest_first(nodeids: list[str], slow: dict[str, float], stretches: int) -> list[int]:
    """Return the positions of tests so that each stretch of them begins with its longest.

    pytest-xdist (worksteal) gives each process one stretch of them in their order, and where they
    are not as many for each, fewer to the first.
    """
    longest = sorted(
        range(len(nodeids)), key=lambda number: -slow.get(function_of(nodeids[number]), 0.0)
    )
    return [number for first in reversed(range(stretches)) for number in longest[first::stretches]]


def processes(config: pytest.Config) -> int:
    """Return how many processes share the tests."""
    given: dict[str, int] = getattr(config, "workerinput", {})
    return given.get("workercount", 1)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the two options."""
    group = parser.getgroup("slow tests")
    group.addoption("--record-slow", action="store_true", help="write tests/slow.txt")
    group.addoption("--leave-out-slow", action="store_true", help="skip what is in it")
    group.addoption("--longest-first", action="store_true", help="begin with what takes longest")


@pytest.hookimpl(trylast=True)  # after those that deselect
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what is known to be slow, or begin with it."""
    if not LIST.exists():
        return
    slow = slow_functions(LIST.read_text(encoding="utf-8"))
    if config.getoption("--longest-first"):
        names = [item.nodeid for item in items]
        items[:] = [items[number] for number in longest_first(names, slow, processes(config))]
    if not config.getoption("--leave-out-slow"):
        return
    out = [item for item in items if function_of(item.nodeid) in slow or _needs_server(item)]
    config.hook.pytest_deselected(items=out)
    left = set(items) - set(out)
    items[:] = [item for item in items if item in left]


def _needs_server(item: pytest.Item) -> bool:
    fixtures: list[str] = getattr(item, "fixturenames", [])
    return "[postgresql" in item.nodeid or any(name.startswith("pg_") for name in fixtures)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up set-up, call and tear-down."""
    _seconds[report.nodeid] += report.duration


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the list when asked to."""
    if session.config.getoption("--record-slow") and _seconds:
        LIST.write_text(slow_list(_seconds), encoding="utf-8")
