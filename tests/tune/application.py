"""An application that runs statements at a steady rate and reports them as an agent does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from time import perf_counter, time

from homeostat.access.protocol import (
    PROTOCOL_VERSION,
    CallSample,
    DatabaseReport,
    OperationReport,
    Reply,
    Report,
    pack,
)
from homeostat.driver import postgres, sqlite
from homeostat.driver.wire import Wire
from homeostat.engine.engine import Identity
from homeostat.measure import Histogram

REPORT_SECONDS = 0.1
SAMPLES_MAX = 20  # of an operation in a report


@dataclass(frozen=True)
class Work:
    """One operation: its statement, how to draw its parameters, how often a second."""

    name: str
    sql: str
    draw: Callable[[Random], Mapping[str, object]] = lambda _chance: {}
    rate: float = 20.0
    write: bool = False
    times: int = 1  # in one transaction
    transaction: str = ""


@dataclass
class Told:
    latency: Histogram = field(default_factory=Histogram)
    rows: int = 0


class Application:
    """Runs the work in a thread of its own."""

    def __init__(
        self, url: str, identity: Identity, report: Callable[[Report], Reply], works: Sequence[Work]
    ) -> None:
        self._url = url
        self._identity = identity
        self._report = report
        self._works = works
        self._stop = threading.Event()
        self._sequence = 0
        self._chance = Random()
        self._thread = threading.Thread(target=self._run, name="application", daemon=True)
        self.replies: list[Reply] = []
        self.error: Exception | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(10)
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            wire = open_wire(self._url)
            try:
                self._go(wire)
            finally:
                wire.close()
        except Exception as error:  # noqa: BLE001  `stop` raises it
            self.error = error

    def _go(self, wire: Wire) -> None:
        due = {
            work.name: perf_counter() + number * 0.003 for number, work in enumerate(self._works)
        }
        told: dict[str, Told] = {}
        samples: list[CallSample] = []
        reported = perf_counter()
        while not self._stop.is_set():
            now = perf_counter()
            for work in self._works:
                if now < due[work.name]:
                    continue
                due[work.name] = max(due[work.name] + 1 / work.rate, now - 0.5)
                samples += self._call(wire, work, told)
            if now - reported >= REPORT_SECONDS:
                self._send(now - reported, told, samples)
                told, samples, reported = {}, [], now
            self._stop.wait(0.002)

    def _call(self, wire: Wire, work: Work, told: dict[str, Told]) -> list[CallSample]:
        wire.begin(write=work.write)
        samples = []
        whole = 0.0
        rows = 0
        for _ in range(work.times):
            params = dict(work.draw(self._chance))
            began = perf_counter()
            got = wire.execute(work.sql, params)
            micros = (perf_counter() - began) * 1e6
            whole += micros
            rows += len(got.rows) or got.changed
            samples.append(
                CallSample(
                    operation=work.name,
                    sql=work.sql,
                    parameters=params,
                    at=time(),
                    latency_us=micros,
                    rows=len(got.rows) or got.changed,
                    write=work.write,
                    slow=micros > 20_000,
                    transaction=work.transaction,
                )
            )
        wire.commit()
        one = told.setdefault(work.transaction or work.name, Told())
        one.latency.record(whole)
        one.rows += rows
        return samples

    def _send(self, seconds: float, told: dict[str, Told], samples: list[CallSample]) -> None:
        self._sequence += 1
        reply = self._report(
            Report(
                v=PROTOCOL_VERSION,
                agent="shop-1",
                boot="boot",
                sequence=self._sequence,
                database=DatabaseReport(
                    self._identity.dialect,
                    self._identity.key,
                    self._identity.label,
                    self._identity.version,
                ),
                application="shop",
                host="here",
                pid=1,
                capabilities=[],
                seconds=seconds,
                cpu_share=0.1,
                cores=2,
                pools=[],
                operations=[
                    OperationReport(name, "none", pack(one.latency), rows=one.rows)
                    for name, one in told.items()
                ],
                applied_version=0,
                samples=samples,
            )
        )
        assert not reply.error, reply.error
        self.replies.append(reply)


def open_wire(url: str) -> Wire:
    """Open the application's own connection."""
    if "://" in url:
        return postgres.connect(url, application_name="shop")
    return sqlite.connect(url, busy_ms=5_000)


@contextmanager
def application(
    url: str, identity: Identity, report: Callable[[Report], Reply], works: Sequence[Work]
) -> Iterator[Application]:
    one = Application(url, identity, report, works)
    one.start()
    try:
        yield one
    finally:
        one.stop()
