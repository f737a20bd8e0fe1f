"""A pytest plugin that leaves no failure and no hang without a name, however the run ends.

    python -m pytest -p scripts.failures

pytest tells failures when all tests have ended, and a run that is ended from outside tells none:
here each is told when it happens, and at SIGTERM the tests that still run. The limit for a test
(`faulthandler_timeout`) is pytest's, but pytest forgets it when a test fails, so that a tear-down
could hang for ever after it, and has none for what it does after the last test: here both have
one. A process that passes its limit tells where all its threads are and exits; pytest-xdist names
the test it was at and goes on with another process.
"""

from __future__ import annotations

import faulthandler
import os
import signal
from types import FrameType

import pytest

_TERMINAL = pytest.StashKey[int]()  # where the run's own output goes, whatever tests capture
_TRACEBACKS = pytest.StashKey[int]()  # where a process that shares tests may write, too

_running: dict[str, None] = {}  # in the order of their start; of all processes that share tests


def pytest_configure(config: pytest.Config) -> None:
    """Keep the outputs, and hear SIGTERM, which ends a stage that takes too long."""
    config.stash[_TRACEBACKS] = os.dup(2)
    if hasattr(config, "workerinput"):  # it shares tests: the one that gathers tells of it
        return
    config.stash[_TERMINAL] = os.dup(1)

    def ended(signum: int, _: FrameType | None) -> None:
        _tell(config, f"ended by SIGTERM; still running: {', '.join(_running) or 'no test'}")
        signal.signal(signum, signal.SIG_DFL)
        os.kill(os.getpid(), signum)

    signal.signal(signal.SIGTERM, ended)
    config.pluginmanager.register(_Teller(config), "tell failures at once")


class _Teller:
    """Follows the tests in the process that gathers what came of them."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Note that a test runs."""
        _running[nodeid] = None

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Note that it has ended."""
        _running.pop(nodeid, None)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Tell a failure, as pytest will at the end; the end of its process ends a test."""
        if report.failed:
            where = f" in its {report.when}" if report.when in {"setup", "teardown"} else ""
            _tell(self._config, f"{report.nodeid} failed{where}:\n{report.longreprtext}")
        if report.when not in {"setup", "call", "teardown"}:
            _running.pop(report.nodeid, None)


@pytest.hookimpl(trylast=True)
def pytest_exception_interact(node: pytest.Item | pytest.Collector) -> None:
    """Give what is left of a test that failed its limit again, which pytest has just taken away."""
    if isinstance(node, pytest.Item):
        _limit(node.config)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Give the end of the process a limit: it stops servers and joins threads."""
    _limit(session.config)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Let a process that has shared tests wait for the others as long as they take."""
    if hasattr(config, "workerinput"):
        faulthandler.cancel_dump_traceback_later()


def _limit(config: pytest.Config) -> None:
    seconds = float(config.getini("faulthandler_timeout") or 0)
    if seconds > 0:
        ends = bool(config.getini("faulthandler_exit_on_timeout"))
        faulthandler.dump_traceback_later(seconds, exit=ends, file=config.stash[_TRACEBACKS])


def _tell(config: pytest.Config, text: str) -> None:
    config.get_terminal_writer().flush()
    rest = f"\n{text}\n".encode(errors="backslashreplace")
    while rest:
        rest = rest[os.write(config.stash[_TERMINAL], rest) :]
