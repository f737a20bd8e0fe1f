"""The test command: every stage in turn, with the time it took. Started by `scripts/test`.

    scripts/test                      # everything but the long tests; what CI runs
    scripts/test --quick              # only tests that take no time: for while you work
    scripts/test --full               # the long ones too
    scripts/test --only types         # some stages only (may be repeated)
    scripts/test --only tests -- tests/driver -x     # what follows -- goes to pytest

A stage that fails does not stop the ones after it, except missing packages. The exit code is 0 only
when every stage passed; the last lines name the ones that did not. It reads nothing from stdin and
uses the network for nothing but packages.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from scripts import newest_pgbouncer, packages

ROOT = Path(__file__).resolve().parent.parent
CODE = [name for name in ("src", "tests", "bench", "scripts") if (ROOT / name).is_dir()]
TIERS = {"quick": "not slow and not long", "default": "not long", "full": ""}
STAGE_SECONDS_MAX = {"quick": 600, "default": 1800, "full": 4 * 3600}  # a hang ends some time
TIMED_SECONDS_MAX = 600  # one test; those that judge by the clock play stories of minutes
LONG_SECONDS_MAX = 3600  # one test of the full tier; pyproject.toml has the limit of all others
KILL_SECONDS = 10
MARK = "HOMEOSTAT_SUITE"  # in the environment of all that a stage starts
# Tests start hundreds of Pythons. Where the environment forbids keeping what they compile, each
# compiles all it imports: collecting the tests takes 18 s and not 5, a command 0.5 and not 0.3
BYTECODE = {
    "PYTHONDONTWRITEBYTECODE": "",
    "PYTHONPYCACHEPREFIX": str(Path(sys.prefix) / "bytecode"),
}
TOGETHER = 3  # processes that share the tests which do not judge by the clock: many only wait
# those that do are two at a time, which leaves nearly half of two cores idle (the demo's story on
# both engines at once takes 55 % of them)
TIMED_TOGETHER = min(2, os.cpu_count() or 1)


@dataclass(slots=True)
class Options:
    """What the command line asked for."""

    tier: str = "default"
    only: list[str] = field(default_factory=list)
    pytest: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Result:
    """How one stage ended; an empty `problem` is success."""

    name: str
    seconds: float
    problem: str


def run(
    command: list[str], *, show: bool, seconds_max: int, environment: dict[str, str] | None = None
) -> str:
    """Run a command in the repository; return an empty string, or what went wrong.

    Args:
        command: the program and its arguments.
        show: let its output through as it comes (all of it to stdout); otherwise it is shown only
            on failure.
        seconds_max: past this the command is ended.
        environment: variables on top of those of this process.

    Whatever it started and left behind is ended too, and named.
    """
    mark = secrets.token_hex(8)
    with tempfile.TemporaryFile() as quiet:  # a pipe would be waited for while a grandchild has it
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **BYTECODE, **(environment or {}), MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=None if show else quiet,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(seconds_max)
            problem = f"exit code {code}" if code else ""
        except subprocess.TimeoutExpired:
            problem = f"stopped after {seconds_max} s"
        finally:
            _end(process, mark)
        quiet.seek(0)
        if problem:
            print(quiet.read().decode(errors="replace"), end="", flush=True)
    return problem


def _end(process: subprocess.Popen[bytes], mark: str) -> None:
    """End a process and all it started: ask first, then insist."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(KILL_SECONDS)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(KILL_SECONDS)
    left = [one for one in psutil.process_iter(["name"]) if _has(one, mark)]
    for one in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    if left:
        print("  left behind and ended:", ", ".join(one.info["name"] for one in left), flush=True)


def _has(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(MARK) == mark
    except (psutil.Error, OSError):  # it has ended, or is another user's
        return False


def stage_packages(_: Options) -> str:
    """Install what is missing of PostgreSQL and Chromium; fetch a PgBouncer for a few tests."""
    needs = packages.missing()
    if needs:
        print("  missing:", ", ".join(need.what for need in needs), flush=True)
        problem = packages.install(needs)
        if problem:
            return problem
    if newest_pgbouncer.command() is None and newest_pgbouncer.mirror() is not None:
        print("  fetching PgBouncer of", newest_pgbouncer.SUITE, flush=True)
        problem = newest_pgbouncer.install()
        if problem:  # the tests that need it are skipped and say so
            print(" ", problem, flush=True)
    return ""


def _tool(*command: str) -> Callable[[Options], str]:
    """Return a stage that runs a quiet tool of this environment."""

    def stage(options: Options) -> str:
        limit = STAGE_SECONDS_MAX[options.tier]
        return run([sys.executable, "-m", *command], show=False, seconds_max=limit)

    return stage


def stage_layers(options: Options) -> str:
    """Check who imports whom (the contracts are in pyproject.toml)."""
    program = Path(sys.executable).with_name("lint-imports")  # it cannot be run with -m
    limit = STAGE_SECONDS_MAX[options.tier]
    return run([str(program), "--no-cache", "--no-logo"], show=False, seconds_max=limit)


def stage_doctests(options: Options) -> str:
    """Run the examples in docstrings and documents, away from any operator of this user."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--doctest-modules"]
    command += ["--doctest-glob=*.md", "src", "docs", "README.md"]
    limit = STAGE_SECONDS_MAX[options.tier]
    with tempfile.TemporaryDirectory() as away:
        data = {"HOMEOSTAT_DATA": away}
        return run(command, show=False, seconds_max=limit, environment=data)


def stage_tests(options: Options) -> str:
    """Run the tests of the tier: three at a time, then two at a time those that judge by the clock.

    These begin with the longest: most of their time is two stories.
    """
    words = [TIERS[options.tier]] if TIERS[options.tier] else []
    if options.pytest:
        return _pytest(options, words, options.pytest)
    # each process gets a stretch of files, so that what a file sets up is set up once, not in each
    shared = ["-n", str(TOGETHER), "--dist=worksteal"]
    together = _pytest(options, [*words, "not timed"], shared)
    by_clock = ["-n", str(TIMED_TOGETHER), "--dist=worksteal", "-v"]
    by_clock += ["-o", f"faulthandler_timeout={TIMED_SECONDS_MAX}"]
    by_clock += ["-p", "scripts.durations", "--longest-first"]
    quick = options.tier == "quick"
    timed = "" if quick else _pytest(options, [*words, "timed"], by_clock)
    problems = {"together": together, "by the clock": timed}
    return ", ".join(f"{problem} ({how})" for how, problem in problems.items() if problem)


def _pytest(options: Options, words: list[str], more: list[str]) -> str:
    command = [sys.executable, "-m", "pytest", "--durations=15", "--durations-min=2"]
    command += ["-p", "scripts.failures"]
    if options.tier == "full":
        more = [*more, "-o", f"faulthandler_timeout={LONG_SECONDS_MAX}"]
    if words:
        command += ["-m", " and ".join(words)]
    if options.tier == "quick":
        command += ["-p", "scripts.durations", "--leave-out-slow"]
    limit = STAGE_SECONDS_MAX[options.tier]
    return run([*command, *more], show=True, seconds_max=limit)


STAGES: dict[str, Callable[[Options], str]] = {
    "packages": stage_packages,
    "format": _tool("ruff", "format", "--check", "."),
    "lint": _tool("ruff", "check", "."),
    "types": _tool("mypy", *CODE),
    "layers": stage_layers,
    "doctests": stage_doctests,
    "tests": stage_tests,
}


def parse(arguments: list[str]) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/test",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    tier = parser.add_mutually_exclusive_group()
    for name, text in (("quick", "no slow tests"), ("full", "the long tests too")):
        tier.add_argument(
            f"--{name}", action="store_const", const=name, dest="tier", default="default", help=text
        )
    parser.add_argument(
        "--only", action="append", default=[], choices=list(STAGES), metavar="STAGE"
    )
    own, rest = arguments, []
    if "--" in arguments:
        cut = arguments.index("--")
        own, rest = arguments[:cut], arguments[cut + 1 :]
    read = parser.parse_args(own)
    return Options(tier=read.tier, only=read.only, pytest=rest)


def main(arguments: list[str] | None = None) -> int:
    """Run the stages; return the exit code."""
    options = parse(sys.argv[1:] if arguments is None else arguments)
    chosen = [name for name in STAGES if name in options.only or not options.only]
    start = time.monotonic()
    results: list[Result] = []
    for number, name in enumerate(chosen, 1):
        began = time.monotonic()
        print(f"[{began - start:6.1f} s] {number}/{len(chosen)} {name}", flush=True)
        problem = STAGES[name](options)
        results.append(Result(name, time.monotonic() - began, problem))
        if problem:
            print(f"  {name} failed: {problem}", flush=True)
            if name == "packages":
                break
    return _report(results, time.monotonic() - start, options)


def _report(results: list[Result], seconds: float, options: Options) -> int:
    print()
    for result in results:
        mark = f"FAILED ({result.problem})" if result.problem else "ok"
        print(f"{result.name:10} {result.seconds:7.1f} s  {mark}")
    failed = [result.name for result in results if result.problem]
    verdict = f"failed: {', '.join(failed)}" if failed else "all stages passed"
    print(f"{verdict} in {seconds:.1f} s ({options.tier} tier)", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
