"""Writers that note what was acknowledged, what failed and how; and what has to be true after.

Every text is asked for once, so what the table holds of it tells what really happened.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from homeostat.access import AsyncDatabase, Database, ExecutionSettings, Operation
from homeostat.driver import postgres, sqlite
from homeostat.driver.wire import Wire
from homeostat.errors import CommitUnknownError, HomeostatError
from tests.servers import wait_until

ADD = Operation("note.add", "INSERT INTO note (text) VALUES (:text)", ("text",), write=True)
COUNT = Operation("note.count", "SELECT count(*) FROM note")
OPERATIONS = [ADD, COUNT]
SECONDS = 30.0
LATE = 5.0  # what the driver waits for a silent server beyond a deadline, and some
TABLES = {
    "sqlite": "CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT)",
    "postgresql": "CREATE TABLE note (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
    "text text)",
}


def open_wire(url: str) -> Wire:
    if "://" in url:
        return postgres.connect(url)
    return sqlite.connect(Path(url), busy_ms=5000, create=True)


def prepare(url: str) -> None:
    """Make the tables of an empty database."""
    wire = open_wire(url)
    wire.execute(TABLES[wire.dialect])
    wire.close()
    with Database.open(url, agent=None) as database:
        database.prepare_idempotency()


def patient(_operation: Operation, _caller: object) -> ExecutionSettings:
    """Plan calls that end soon when the server does not answer."""
    return ExecutionSettings(deadline_ms=400, wait_ms=300)


@dataclass
class Writers:
    """Threads that write until they are stopped.

    Attributes:
        acknowledged: texts whose write was said to have happened.
        unknown: texts that ended with CommitUnknownError.
        refused: texts that ended with another error: they must not be there.
        errors: how often each kind came up.
    """

    database: Database
    keyed: bool
    acknowledged: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    errors: Counter[str] = field(default_factory=Counter)
    stop: threading.Event = field(default_factory=threading.Event)

    def work(self, name: str) -> None:
        """Write one text after the other; with a key, one that failed again until it is done."""
        for number in itertools.count():
            if self.stop.is_set():
                return
            text = f"{name}-{number}"
            while not self._write(text) and self.keyed and not self.stop.wait(0.002):
                pass

    def _write(self, text: str) -> bool:
        key = text if self.keyed else None
        try:
            self.database.execute("note.add", {"text": text}, idempotency_key=key)
        except HomeostatError as error:
            return self._failed(text, error)
        self.acknowledged.add(text)
        return True

    def _failed(self, text: str, error: HomeostatError) -> bool:
        self.errors[type(error).__name__] += 1
        into = self.unknown if isinstance(error, CommitUnknownError) else self.refused
        into.add(text)
        return False

    def more(self, count: int = 20) -> None:
        """Wait until so many more were acknowledged."""
        before = len(self.acknowledged)
        wait_until(lambda: len(self.acknowledged) >= before + count, SECONDS, "more writes")


class LoopWriters(Writers):
    """The same as tasks of one event loop."""

    async def main(self, count: int) -> None:
        """Write as many tasks."""
        database = AsyncDatabase(self.database)
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                group.create_task(self._work(database, f"w{number}"))
        database._threads.close()

    async def _work(self, database: AsyncDatabase, name: str) -> None:
        number = 0
        while not self.stop.is_set():
            if await self._add(database, f"{name}-{number}") or not self.keyed:
                number += 1
            else:
                await asyncio.sleep(0.002)

    async def _add(self, database: AsyncDatabase, text: str) -> bool:
        key = text if self.keyed else None
        try:
            await database.execute("note.add", {"text": text}, idempotency_key=key)
        except HomeostatError as error:
            return self._failed(text, error)
        self.acknowledged.add(text)
        return True


@contextmanager
def writing(
    database: Database, *, keyed: bool, count: int = 4, in_loop: bool = False
) -> Iterator[Writers]:
    """Run writers during the context, blocking or from asyncio; they have ended after it."""
    writers = Writers(database, keyed)
    threads = [
        threading.Thread(target=writers.work, args=(f"w{number}",), daemon=True)
        for number in range(count)
    ]
    if in_loop:
        writers = tasks = LoopWriters(database, keyed)
        threads = [threading.Thread(target=lambda: asyncio.run(tasks.main(count)), daemon=True)]
    for thread in threads:
        thread.start()
    try:
        yield writers
    finally:
        writers.stop.set()
        for thread in threads:
            thread.join(SECONDS)
        assert not any(thread.is_alive() for thread in threads), "a call never came back"


def check(writers: Writers, url: str, *, errors: Sequence[str]) -> None:
    """Check that nothing was lost, nothing was written twice, and no connection is taken."""
    pool = writers.database.pool
    wait_until(lambda: (pool.in_use, pool.waiting) == (0, 0), what="all connections back")
    wire = open_wire(url)
    found: dict[object, object] = dict(
        wire.execute("SELECT text, count(*) FROM note GROUP BY text").rows  # type: ignore[arg-type]
    )
    wire.close()
    assert set(found.values()) <= {1}, "a write happened twice"
    assert writers.acknowledged <= found.keys(), "an acknowledged write is lost"
    if not writers.keyed:  # with a key it was asked for again
        assert not writers.refused & found.keys(), "a write was said to have failed and did not"
    assert set(writers.errors) <= set(errors), writers.errors
