"""What the data path and its agent cost an application.

- CPU of the agent: a report of 12 operations in 5 segments each, every 2 s, over loopback HTTP to
  another process; the counters hold 6,000 calls between two reports (3,000 a second).
- A call's statistics (its bytes too, counted of one in 16), alone and with the choice of samples,
  and taking and returning a connection nobody waits for; the peer is the standard library's queue,
  which small pools are made of.
- A whole call, a read by primary key from SQLite, against bare apsw in the same process and run.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import tempfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from queue import LifoQueue

import apsw
import msgspec

from bench.harness import Figure, Options, Repeats, main, progress, repeated
from homeostat.access import AgentOptions, Database, Operation, PoolLimits
from homeostat.access.agent import Agent
from homeostat.access.caller import ANYONE, Caller
from homeostat.access.protocol import Reply, Settings
from homeostat.access.sampling import Sampler
from homeostat.access.statistics import Statistics

OPERATIONS = 12
SEGMENTS = 5
CALLS = 6_000
REPORT_SECONDS = 2.0
READ = Operation("item.get", "SELECT text FROM item WHERE id = :id", ("id",), expected_ms=1)
PARAMS = {"id": 1}


class _Answering(BaseHTTPRequestHandler):
    """Answers every report like an operator without wishes."""

    protocol_version = "HTTP/1.1"
    answer = msgspec.json.encode(Reply(1, 1, REPORT_SECONDS, Settings(0, 60.0, {})))

    def do_POST(self) -> None:
        """Read the report, answer."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.answer)))
        self.end_headers()
        self.wfile.write(self.answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def answer_reports(pipe: Connection) -> None:
    """Serve until killed; send the port first."""
    server = HTTPServer(("127.0.0.1", 0), _Answering)
    pipe.send(server.server_port)
    server.serve_forever()


def found_operator(directory: Path, port: int, pid: int) -> None:
    """Write the files by which an agent finds the operator."""
    directory.chmod(0o700)
    token = directory / "token"
    token.touch(mode=0o600)
    token.write_text("benchmark")
    found = {"url": f"http://127.0.0.1:{port}", "pid": pid}
    (directory / "operator.json").write_text(json.dumps(found))


def traffic(statistics: Statistics, *, seed: int) -> None:
    """Count the calls between two reports: log-normal latencies around 300 us."""
    rng = random.Random(seed)
    for _ in range(CALLS):
        operation = f"operation-{rng.randrange(OPERATIONS)}"
        caller = Caller(segment=f"segment-{rng.randrange(SEGMENTS)}")
        statistics.record(operation, caller, rng.lognormvariate(5.7, 0.8), 1)


def measure_agent(directory: Path, file: Path, options: Options) -> Iterator[Figure]:
    """Yield CPU of a report; turns are taken by hand, so that nothing else is in the figure."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=answer_reports, args=(theirs,), daemon=True)
    process.start()
    found_operator(directory, ours.recv(), process.pid or os.getpid())
    with Database.open(file, agent=None, operations=[READ]) as database:
        statistics = Statistics()
        agent = Agent(
            AgentOptions(directory=directory),
            application="bench",
            pool=database.pool,
            statistics=statistics,
            database=lambda: database.identity,
        )
        agent.turn()
        values: list[float] = []
        for number in range(50 if options.quick else 300):
            traffic(statistics, seed=number)
            values += repeated(agent.turn, times=1, cpu=True).values
        if agent.failures:
            raise RuntimeError("the reports did not arrive")
    process.kill()
    parameters = {"operations": OPERATIONS, "segments": SEGMENTS, "calls": CALLS}
    turns = Repeats(tuple(values))
    yield turns.figure("agent.report_cpu", "ms", scale=1000, parameters=parameters)
    share = turns.median / REPORT_SECONDS
    every = {"every_s": REPORT_SECONDS}
    yield Figure("agent.cpu", share * 100, "% of a core", parameters=every)
    yield Figure("agent.cpu_hour", share * 3600, "s/h", parameters=every)


def each(work: Callable[[], object], options: Options) -> Repeats:
    """Return the microseconds of one call: the fastest of several runs tells the code's own."""
    count = 20_000 if options.quick else 100_000

    def run() -> None:
        for _ in range(count):
            work()

    empty = repeated(lambda: [None for _ in range(count)], times=3).minimum
    timed = repeated(run, times=5)
    return Repeats(tuple(max(0.0, (value - empty) / count) * 1e6 for value in timed.values))


def compared(name: str, ours: Repeats, peer: str, theirs: Repeats) -> Figure:
    """Return the fastest run against the peer's fastest."""
    text = f"{peer} {theirs.minimum:.2f} us"
    parameters = {"added_us": round(ours.minimum - theirs.minimum, 2)}
    return Figure(
        name, ours.minimum, "us", peer=text, ratio=ours.minimum / theirs.minimum,
        engine=f"sqlite {apsw.sqlite_lib_version()}", parameters=parameters,
    )  # fmt: skip


def measure_calls(file: Path, options: Options) -> Iterator[Figure]:
    """Yield the parts of a call and the whole."""
    statistics = Statistics()
    row = [("some text",)]
    record = each(
        lambda: statistics.record("item.get", ANYONE, 300.0, 1, params=PARAMS, found=row), options
    )
    yield Figure("statistics.call", record.minimum, "us")
    sampled = Statistics(Sampler(capture="values"))
    chosen = each(
        lambda: sampled.record("item.get", ANYONE, 300.0, 1, params=PARAMS, found=row), options
    )
    yield compared("statistics.call_sampled", chosen, "without sampling", record)
    with Database.open(file, agent=None, operations=[READ], pool=PoolLimits(limit=2)) as database:
        pool = database.pool
        queue: LifoQueue[object] = LifoQueue()
        queue.put(object())
        turn = each(lambda: pool.release(pool.acquire("item.get", busy=True)), options)
        bare = each(lambda: queue.put(queue.get(timeout=5)), options)
        yield compared("pool.acquire_release", turn, "queue.LifoQueue", bare)
        connection = apsw.Connection(str(file))
        alone = each(lambda: connection.execute(READ.sql, PARAMS).fetchall(), options)  # type: ignore[arg-type]
        call = each(lambda: database.execute("item.get", PARAMS), options)
        yield compared("execute.inline", call, "apsw", alone)
        lease = pool.acquire("wire")
        wire = each(
            lambda: lease.wire.execute("SELECT text FROM item WHERE id = :id", PARAMS), options
        )
        pool.release(lease)
        yield compared("execute.wire_only", wire, "apsw", alone)
        connection.close()


def figures(options: Options) -> Iterator[Figure]:
    """Yield all figures."""
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "bench.db"
        with Database.open(file, agent=None, create=True) as db, db.transaction() as session:
            session.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, text TEXT)")
            session.execute("INSERT INTO item VALUES (1, 'some text')")
        progress("calls")
        yield from measure_calls(file, options)
        progress("the agent")
        yield from measure_agent(Path(name), file, options)


if __name__ == "__main__":
    main(figures, about=__doc__ or "")
