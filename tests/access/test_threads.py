"""The threads of the asyncio form: where none can be started, and in a forked child."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from homeostat.access import AsyncDatabase
from homeostat.access.session import Session
from tests.access.test_async import ADD, come, play


@contextmanager
def no_more_threads() -> Iterator[None]:
    """Have the system refuse every new thread, which asks for more memory than there is."""
    before = threading.stack_size(1 << 47)
    try:
        yield
    finally:
        threading.stack_size(before)


def test_without_a_thread_a_call_fails_and_never_runs_later(file: Path) -> None:
    async def story(database: AsyncDatabase) -> None:
        with no_more_threads(), pytest.raises(RuntimeError):
            await database.execute(ADD, {"text": "refused"})
        assert database.pool.in_use == 0
        await database.execute(ADD, {"text": "kept"})
        assert [text for _, text in (await database.execute("note.all")).rows] == ["kept"]

    play(str(file), story)


def test_where_no_more_threads_can_be_started_those_there_are_serve_all(file: Path) -> None:
    async def story(database: AsyncDatabase) -> None:
        began, go_on = threading.Event(), threading.Event()

        def busy(_: Session) -> bool:
            began.set()
            return go_on.wait(60)

        async with database.session() as held:
            async with database.session():
                pass  # a second connection is open
            waiting = asyncio.create_task(held.run(busy))
            await come(began.is_set)
            with no_more_threads():
                adding = asyncio.create_task(database.execute(ADD, {"text": "kept"}))
                await come(lambda: database.pool.in_use == 2)
            go_on.set()
            assert await waiting
            assert (await adding).changed == 1

    play(str(file), story)


FORK = """
import asyncio, os, sys
from homeostat.access import AsyncDatabase, Database, Operation
count = Operation("note.count", "SELECT count(*) FROM note")
core = Database.open(sys.argv[1], agent=None)
database = AsyncDatabase(core)
ask = lambda: asyncio.run(asyncio.wait_for(database.execute(count), 10)).scalar()
assert ask() == 0
child = os.fork()
assert ask() == 0
if child:
    assert os.waitpid(child, 0)[1] == 0
"""


def test_a_forked_child_has_threads_of_its_own(file: Path) -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORK, str(file)], check=True, timeout=30)
