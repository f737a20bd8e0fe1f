"""Traffic for the sample app: an open loop that never waits for the database.

Requests arrive when `arrivals` says so, whatever became of the last ones; a bounded queue and many
worker threads take them to the pool, which is meant to be the narrowest place. What does not fit is
dropped and counted. Latency runs from the intended arrival, so a stall is seen by every request
that it delayed. The slow partner's requests are counted apart: their latency says nothing.

    python -m homeostat.sample.traffic URL --data DIR --rate 80 --pool 4 [--seconds S] [--json]

With --json one line a second is printed (`Second`); nothing else is, but the answers to commands.
Commands are JSON lines on standard input: {"trouble": "idle-holders", "on": true, "strength": 0.3}.
A URL of `-` is read from the first line of standard input, so that no password is in argv.
The process ends on SIGTERM or SIGINT, after --seconds, and when its parent has ended.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import os
import queue
import selectors
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from homeostat.access import AgentOptions, Caller, Database, PoolLimits
from homeostat.clock import Clock, SystemClock
from homeostat.errors import HomeostatError
from homeostat.sample.arrivals import PEOPLE_MAX, PEOPLE_SQL, Arrival, People, arrivals
from homeostat.sample.counts import Counts, Second
from homeostat.sample.operations import MIX, OPERATIONS, Part
from homeostat.sample.process import Parent, name_process, stop_on_signals
from homeostat.sample.troubles import (
    CONNECTION_LEAK,
    DISK_GROWTH,
    DROPPED_INDEX,
    HURTFUL_INDEX,
    IDLE_HOLDERS,
    LOCK_HOLDER,
    STALE_STATISTICS,
    AskingTrouble,
    ConnectionLeak,
    DiskGrowth,
    DroppedIndex,
    HurtfulIndex,
    IdleHolders,
    LockHolder,
    StaleStatistics,
    Trouble,
    checked_strength,
)

RATE_PER_SECOND = 80.0
POOL_LIMIT = 4
LEAK_SECONDS = 10.0  # instead of the usual 30: no session of this application thinks so long
WORKERS = 128  # more than any pool of the demo: callers wait for connections, not for threads
QUEUE_MAX = 32
RANDOM_SEED = 7
STOP_SECONDS = 2.0
APPLICATION = "persona-app"
COMMAND_BYTES_MAX = 65_536
TURN_SECONDS = 0.2  # how soon a signal or the parent's end is noticed


@dataclass(frozen=True, slots=True)
class TrafficOptions:
    """How much traffic.

    Attributes:
        rate_per_second: requests that arrive, on average.
        workers: threads; requests under way at once.
        queue_max: requests that may wait for a thread; more are dropped.
        random_seed: the same seed makes the same arrivals.
        people_max: users to act for, the ones with the smallest ids.
    """

    rate_per_second: float = RATE_PER_SECOND
    workers: int = WORKERS
    queue_max: int = QUEUE_MAX
    random_seed: int = RANDOM_SEED
    people_max: int = PEOPLE_MAX


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line on standard input; without a strength the trouble's own one."""

    trouble: str
    on: bool
    strength: float | None = None


class TroubleState(msgspec.Struct, frozen=True):
    """The answer to a command: a trouble as it is now. `pid`: of the process that it is."""

    trouble: str
    on: bool
    strength: float | None
    pid: int | None = None


@dataclass(frozen=True, slots=True)
class _Request:
    """An arrival that waits for a thread: what it asks, since when, and whether by the partner."""

    arrival: Arrival
    part: Part
    due: float
    partner_seconds: float | None


class Traffic:
    """Traffic on one database handle, which it closes at the end."""

    def __init__(
        self,
        database: Database,
        *,
        url: str,
        options: TrafficOptions | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Read the users to act for; nothing arrives yet.

        Args:
            database: an open handle; the operations are registered with it.
            url: where it leads, for the lock holder's own connection.
            options: how much traffic.
            clock: tells the time.

        Raises:
            ConfigError: there are no users, or the rate is out of bounds.
        """
        self.options = options or TrafficOptions()
        self._database = database
        self._clock = clock or SystemClock()
        for operation in OPERATIONS:
            database.register(operation)
        with database.session(name="load_people") as session:
            people = People.of(session.execute(PEOPLE_SQL, {"people_max": self.options.people_max}))
        self._arrivals: Iterator[Arrival] = arrivals(
            people,
            rate_per_second=self.options.rate_per_second,
            random_seed=self.options.random_seed,
        )
        self._idle_holders = IdleHolders(random_seed=self.options.random_seed, clock=self._clock)
        asking: dict[str, AskingTrouble] = {
            DROPPED_INDEX: DroppedIndex(url),
            STALE_STATISTICS: StaleStatistics(url),
            HURTFUL_INDEX: HurtfulIndex(url),
        }
        self._troubles: dict[str, Trouble] = {
            IDLE_HOLDERS: self._idle_holders,
            LOCK_HOLDER: LockHolder(url),
            CONNECTION_LEAK: ConnectionLeak(database, clock=self._clock),
            DISK_GROWTH: DiskGrowth(database, url=url, clock=self._clock),
            **asking,
        }
        self._asking = tuple(asking.values())
        mine = [part.operation for one in self._asking for part in one.parts]
        for operation in mine:
            if operation not in OPERATIONS:
                database.register(operation)
        self._stop = threading.Event()
        self._queue: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._counts = Counts(self._clock.monotonic())
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Put right what a killed one left, then let requests arrive from now on."""
        for trouble in self._asking:
            trouble.mend()
        targets = itertools.chain(
            (self._arrive,), itertools.repeat(self._work, self.options.workers)
        )
        self._threads = [
            threading.Thread(target=target, name=f"traffic-{number}", daemon=True)
            for number, target in enumerate(targets)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End troubles and arrivals, drop what waits, close the database."""
        self._stop.set()
        for trouble in self._troubles.values():
            trouble.stop()
        self._database.close(drain_seconds=STOP_SECONDS / 2)
        for _ in range(self.options.workers):
            self._queue.put(None)
        until = self._clock.monotonic() + STOP_SECONDS / 2
        for thread in self._threads:
            thread.join(max(0.0, until - self._clock.monotonic()))

    def set_trouble(self, name: str, *, on: bool, strength: float | None = None) -> TroubleState:
        """Switch a trouble on, off, or to another strength.

        Raises:
            ConfigError: there is no such trouble or strength.
        """
        wanted = checked_strength(name, strength)
        trouble = self._troubles[name]
        if on:
            trouble.start(wanted)
        else:
            trouble.stop()
        return TroubleState(name, on, trouble.strength, trouble.pid)

    def report(self) -> Second:
        """Return what happened since the last report."""
        return self._counts.take(self._clock.monotonic())

    def _arrive(self) -> None:
        """Put each request into the queue when it is due, or count it as dropped."""
        start = self._clock.monotonic()
        room = self.options.workers + self.options.queue_max
        for arrival in self._arrivals:
            due = start + arrival.due_seconds
            if self._clock.wait(self._stop, due - self._clock.monotonic()):
                return
            partner_seconds = self._idle_holders.strikes()
            if self._counts.offer(room=room):
                asked = (one.asks() for one in self._asking)
                part = next((part for part in asked if part is not None), MIX[arrival.name])
                self._queue.put(_Request(arrival, part, due, partner_seconds))

    def _work(self) -> None:
        while (request := self._queue.get()) is not None:
            failure = ""
            try:
                if not self._stop.is_set():
                    self._serve(request)
            except HomeostatError as error:
                failure = type(error).__name__
            self._counts.end(
                request.part.operation.name,
                self._clock.monotonic() - request.due,
                failure=failure,
                slow=request.partner_seconds is not None,
            )

    def _serve(self, request: _Request) -> None:
        arrival, person = request.arrival, request.arrival.person
        caller = Caller(user=str(person.id), segment=arrival.segment, source="traffic")
        if request.partner_seconds is not None:
            self._idle_holders.sync(
                self._database,
                person,
                caller=caller,
                partner_seconds=request.partner_seconds,
                stop=self._stop,
            )
            return
        params = request.part.draw(person, arrival.chance, int(self._clock.now() * 1000))
        self._database.execute(request.part.operation, params, caller=caller)


class Commands:
    """Lines of standard input, read without ever blocking the traffic."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._rest = b""
        self._selector = selectors.DefaultSelector()
        self._open = True
        try:
            self._selector.register(descriptor, selectors.EVENT_READ)
        except (PermissionError, ValueError):  # a plain file or nothing: there are no commands
            self._open = False

    def within(self, seconds: float, *, stop: threading.Event, clock: Clock) -> list[bytes]:
        """Return the lines that came within the time; returns as soon as something came."""
        if not self._open:
            clock.wait(stop, seconds)
            return []
        if not self._selector.select(seconds):
            return []
        part = os.read(self._descriptor, COMMAND_BYTES_MAX)
        if not part:
            self._selector.close()
            self._open = False
        *lines, self._rest = (self._rest + part).split(b"\n")
        return [line for line in lines if line.strip()]

    def first(self) -> str:
        """Wait for the first line and return it; used before the traffic starts."""
        taken = bytearray()
        while (byte := os.read(self._descriptor, 1)) not in {b"", b"\n"}:
            taken += byte
        return taken.decode().strip()


def _answer(traffic: Traffic, line: bytes) -> object:
    try:
        command = msgspec.json.decode(line, type=Command)
        return traffic.set_trouble(command.trouble, on=command.on, strength=command.strength)
    except (msgspec.MsgspecError, HomeostatError) as error:
        return {"error": str(error)}


def _say(what: object) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(what) + b"\n")
    sys.stdout.buffer.flush()


def serve(
    traffic: Traffic,
    commands: Commands,
    *,
    stop: threading.Event,
    parent: Parent,
    seconds: float | None,
    json: bool,
    clock: Clock,
) -> None:
    """Run traffic until a signal, the end of the time or of the parent; report every second."""
    traffic.start()
    start = clock.monotonic()
    told = 0
    try:
        while not stop.is_set() and not parent.gone:
            passed = clock.monotonic() - start
            if seconds is not None and passed >= seconds:
                return
            if passed >= told + 1:
                told = int(passed)
                second = traffic.report()
                if json:
                    _say(second)
            turn = min(TURN_SECONDS, max(0.0, told + 1 - passed))
            for line in commands.within(turn, stop=stop, clock=clock):
                _say(_answer(traffic, line))
    except BrokenPipeError:  # whoever read the reports has ended; nor can the rest be said
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    finally:
        traffic.stop()


def main(argv: list[str] | None = None) -> int:
    """Run the traffic process; return the exit status."""
    parser = argparse.ArgumentParser(prog="homeostat-demo-traffic")
    parser.add_argument("url", help="a SQLite path or postgresql://...; - reads it from stdin")
    parser.add_argument("--data", type=Path, help="the operator's directory")
    parser.add_argument("--rate", type=float, default=RATE_PER_SECOND)
    parser.add_argument("--pool", type=int, default=POOL_LIMIT)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--random-seed", type=int, default=RANDOM_SEED)
    parser.add_argument("--people", type=int, default=PEOPLE_MAX, help="users to act for")
    parser.add_argument("--parent", type=int, help="end with this process")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(argv)
    parent = Parent(given.parent)
    stop = threading.Event()
    stop_on_signals(stop)
    if given.json:  # who reads it knows of the operator; a warning of the agent is in the way
        logging.getLogger("homeostat").addHandler(logging.NullHandler())
    clock = SystemClock()
    commands = Commands(sys.stdin.fileno())
    name_process("persona-traffic")
    try:
        url = commands.first() if given.url == "-" else given.url
        options = TrafficOptions(
            rate_per_second=given.rate, random_seed=given.random_seed, people_max=given.people
        )
        database = Database.open(
            url,
            pool=replace(PoolLimits.of(given.pool), leak_seconds=LEAK_SECONDS),
            agent=AgentOptions(directory=given.data),
            application=APPLICATION,
        )
        traffic = Traffic(database, url=url, options=options, clock=clock)
        serve(
            traffic,
            commands,
            stop=stop,
            parent=parent,
            seconds=given.seconds,
            json=given.json,
            clock=clock,
        )
    except HomeostatError as error:
        sys.stderr.write(f"{parser.prog}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
