"""How much of what an application did can be replayed on a clone, and are the results equal?

    uv run python -m bench.replay [--quick] [--json]

The sample app's traffic runs in its own process; its agent reports captured calls to an operator.
Then the database is cloned and every different call that was captured is replayed on the clone
twice, as in a rehearsal without a change. `replay.share`: calls that ran both times, of all that
were captured; the goal is 99 %. `replay.equal`: of these, those of statements whose results were
the same both times.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec

from bench.harness import Figure, Options, main, progress
from homeostat.access.protocol import CallSample
from homeostat.clock import SystemClock
from homeostat.config import AgentConfig, CloneConfig, Config, MonitorConfig
from homeostat.engine import Unsupported
from homeostat.engine.texts import tables_of
from homeostat.main import prepare_data, start
from homeostat.operate.attached import Attached
from homeostat.sample.seed import seed
from homeostat.tune.replay import Call, choose, compare_sides, replay
from tests.servers import running_server, wait_until

USERS = 2_000
SECONDS = 60.0
SECONDS_QUICK = 6.0
RATE = 100.0
START_SECONDS = 40.0
REPLAY_SECONDS = 120.0
CALLS_MAX = 50
GOAL = 0.99
CONFIG = Config(
    monitor=MonitorConfig(performance_seconds=0.5, health_seconds=30.0),
    agent=AgentConfig(report_seconds=0.5),
)


def figures(options: Options) -> Iterator[Figure]:
    """Yield the figures of both engines."""
    with tempfile.TemporaryDirectory() as name:
        path = str(Path(name) / "app.db")
        yield from _figures(path, Path(name) / "data", CONFIG, options)
    with running_server() as server, tempfile.TemporaryDirectory() as name:
        url = server.url(server.create_database())
        clone = CloneConfig(url=server.url(), programs=str(server.bin))
        config = msgspec.structs.replace(CONFIG, clone=clone)
        yield from _figures(url, Path(name) / "data", config, options)


def _figures(url: str, data: Path, config: Config, options: Options) -> Iterator[Figure]:
    seed(url, users=USERS)
    prepare_data(data)
    seconds = SECONDS_QUICK if options.quick else SECONDS
    with ExitStack() as stack:
        running = start(data, url=url, config=config, clock=SystemClock(), stack=stack)
        [attached] = running.operator.attached.values()
        identity = attached.engine.identity()
        progress(f"traffic for {seconds:g} s ({identity.dialect})")
        _run_traffic(url, data, attached, seconds)
        captured = attached.watch.captured()
        progress(f"{len(captured)} captured calls")
        calls, asked, private = chosen_of(captured, identity.dialect)
        replayed, equal, failed = _replayed(attached, config, calls)
    engine = f"{identity.dialect} {identity.version}"
    parameters = {
        "captured": asked, "statements": len({call.key for call in calls}),
        "private": private, "failed": failed, "goal": GOAL,
    }  # fmt: skip
    share = replayed / max(1, asked)
    yield Figure("replay.share", share, "share", engine=engine, parameters=parameters)
    yield Figure("replay.equal", equal / max(1, replayed), "share", engine=engine)


def _run_traffic(url: str, data: Path, attached: Attached, seconds: float) -> None:
    command = [sys.executable, "-m", "homeostat.sample.traffic", "-", "--data", str(data)]
    command += ["--rate", str(RATE), "--json"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as child:
        assert child.stdin is not None
        child.stdin.write(url + "\n")
        child.stdin.flush()
        wait_until(attached.watch.captured, START_SECONDS, "the first captured call")
        threading.Event().wait(seconds)
        child.terminate()
        child.wait(30)


def chosen_of(
    captured: Sequence[tuple[str, CallSample]], dialect: str
) -> tuple[list[Call], int, int]:
    """Return the different calls of all tables, how many were asked for, how many are private."""
    tables = {name for _, one in captured for name in tables_of(one.sql, dialect)}
    calls: dict[tuple[str, str], Call] = {}
    asked: dict[str, int] = {}
    private: dict[str, int] = {}
    for table in sorted(tables):
        touching = [pair for pair in captured if table in tables_of(pair[1].sql, dialect)]
        for key in {key for key, _ in touching}:
            mine = [pair for pair in touching if pair[0] == key]
            chosen = choose(mine, table=table, dialect=dialect, calls_max=CALLS_MAX)
            asked[key], private[key] = chosen.captured, chosen.private
            for call in chosen.calls:
                calls[key, repr(sorted(call.params.items()))] = call
    return list(calls.values()), sum(asked.values()), sum(private.values())


def _replayed(
    attached: Attached, config: Config, calls: Sequence[Call]
) -> tuple[int, int, dict[str, int]]:
    clones = attached.engine.clone
    if isinstance(clones, Unsupported):
        raise TypeError(f"{clones.reason} {clones.mend}")
    made = clones.create(owner="bench", expires_seconds=3600, bytes_max=config.clone.bytes_max)
    try:
        with clones.connect(made.name) as wire:
            before = replay(wire, calls, seconds=REPLAY_SECONDS)
            after = replay(wire, calls, seconds=REPLAY_SECONDS)
    finally:
        clones.drop(made.name)
    compared = compare_sides(calls, before, after)
    failed: Counter[str] = before.failed + after.failed
    for one in compared:
        if not one.equal:
            progress(f"not equal: {one.operation}")
    replayed = sum(one.calls for one in compared)
    return replayed, sum(one.calls for one in compared if one.equal), dict(failed)


if __name__ == "__main__":
    main(figures, about=__doc__)
