"""Start, ask and end the processes of fault tests; each is ended by its own pid.

They are forked from a server that has imported what they need, since those imports are most of what
a play costs; a process of its own each is all the same.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import runpy
import sys
from collections.abc import Iterator
from multiprocessing.connection import Connection

from tests.patience import SECONDS_MAX, line_of

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["homeostat.access", "homeostat.main"])


class Process:
    """A child that prints `ready` and ends with its standard input."""

    def __init__(self, module: str, *arguments: str) -> None:
        stdin, to_child = _CONTEXT.Pipe(duplex=False)
        from_child, stdout = _CONTEXT.Pipe(duplex=False)
        self._process = _CONTEXT.Process(
            target=_run, args=(module, arguments, dict(os.environ), stdin, stdout)
        )
        self._process.start()
        stdin.close()
        stdout.close()
        self._stdin = os.fdopen(_detached(to_child), "w")
        self._stdout = os.fdopen(_detached(from_child))
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    def ready(self) -> None:
        line = self.line()
        assert line == "ready", f"it said {line!r}"

    def line(self) -> str:
        return line_of(self._stdout).strip()

    def ask(self, word: str) -> str:
        self._stdin.write(word + "\n")
        self._stdin.flush()
        return self.line()

    def wait(self, seconds: float) -> int:
        """Wait for the end and return the exit code; a signal's number is negative.

        Raises:
            TimeoutError: it still runs.
        """
        self._process.join(seconds)
        if self._process.exitcode is None:
            message = f"it still runs after {seconds} s"
            raise TimeoutError(message)
        return self._process.exitcode

    @property
    def alive(self) -> bool:
        return self._process.is_alive()

    def kill(self) -> None:
        self._process.kill()
        self.wait(SECONDS_MAX)
        self._close()

    def end(self, seconds: float = 10.0) -> str:
        """Close its standard input, wait for its end, return what it said last."""
        with contextlib.suppress(BrokenPipeError):
            self._stdin.close()
        said = self._stdout.read()
        self.wait(seconds)
        self._stdout.close()
        return said

    def _close(self) -> None:
        for pipe in (self._stdin, self._stdout):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


@contextlib.contextmanager
def running(module: str, *arguments: str) -> Iterator[Process]:
    """Run a child until the end of the block."""
    process = Process(module, *arguments)
    try:
        yield process
    finally:
        process.kill()


def _detached(end: Connection) -> int:
    """Return a descriptor of a pipe's end that does not close with the end."""
    with end:
        return os.dup(end.fileno())


def _run(
    module: str,
    arguments: tuple[str, ...],
    environment: dict[str, str],
    stdin: Connection,
    stdout: Connection,
) -> None:
    """Be the module's own process: its environment, its words and its standard streams."""
    os.environ.clear()
    os.environ.update(environment)
    for end, number in ((stdin, 0), (stdout, 1)):
        os.dup2(end.fileno(), number)
        end.close()
    sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
