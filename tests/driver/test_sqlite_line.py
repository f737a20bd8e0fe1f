"""Writers of one process take turns: in the order they came, and without being left behind."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from homeostat.driver import sqlite, sqlite_patience
from homeostat.driver.sqlite_line import line_of
from homeostat.errors import DatabaseLockedError
from tests.patience import joined
from tests.servers import wait_until

WRITERS = 6
ROWS = 600


@pytest.fixture
def path(sqlite_path: Path) -> Path:
    with closing(sqlite.connect(sqlite_path, create=True)) as wire:
        wire.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, who INTEGER)")
    return sqlite_path


def waiting(path: Path) -> int:
    status = path.stat()
    return len(line_of((status.st_dev, status.st_ino)).waiting)


def is_long(path: Path, count: int) -> bool:
    return waiting(path) == count


def test_who_is_done_wakes_who_came_first(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody tries by himself here within the test: all of it is waking."""
    monkeypatch.setattr(sqlite_patience, "STEPS_SECONDS", (300.0,))
    threads = []

    def write(who: int) -> None:
        with closing(sqlite.connect(path, busy_ms=600_000)) as wire:
            wire.execute("INSERT INTO t (who) VALUES (:who)", {"who": who})

    with closing(sqlite.connect(path)) as holder:
        holder.begin(write=True)
        for who in range(WRITERS):
            threads.append(threading.Thread(target=write, args=(who,)))
            threads[-1].start()
            wait_until(partial(is_long, path, who + 1), what="its place in the line")
        holder.commit()
        for thread in threads:
            thread.join(30)
        order = [row[0] for row in holder.execute("SELECT who FROM t ORDER BY id").rows]
    assert order == list(range(WRITERS))
    assert waiting(path) == 0


def test_no_writer_is_left_behind_when_all_write_all_the_time(path: Path) -> None:
    """Without turns one writer keeps the lock for itself and others wait for seconds."""
    counts: Counter[int] = Counter()

    def write(who: int) -> None:
        with closing(sqlite.connect(path, busy_ms=60_000)) as wire:
            while sum(counts.values()) < ROWS:
                wire.execute("INSERT INTO t (who) VALUES (:who)", {"who": who})
                counts[who] += 1

    threads = [threading.Thread(target=write, args=(who,)) for who in range(WRITERS)]
    for thread in threads:
        thread.start()
    joined(*threads)
    assert min(counts[who] for who in range(WRITERS)) > ROWS / WRITERS / 3, counts
    with closing(sqlite.connect(path)) as wire:
        stored = wire.execute("SELECT who, count(*) FROM t GROUP BY who").rows
    assert {int(str(who)): count for who, count in stored} == counts, "no acknowledged row is lost"


def test_who_gives_up_leaves_the_line(path: Path) -> None:
    with (
        closing(sqlite.connect(path)) as holder,
        closing(sqlite.connect(path, busy_ms=30)) as wire,
    ):
        holder.begin(write=True)
        with pytest.raises(DatabaseLockedError):
            wire.execute("INSERT INTO t (who) VALUES (1)")
        assert wire.lock_wait_seconds > 0.02
        assert waiting(path) == 0
        holder.rollback()
        assert wire.execute("INSERT INTO t (who) VALUES (1)").changed == 1


def test_a_closed_connection_lets_the_next_one_write(path: Path) -> None:
    holder = sqlite.connect(path)
    holder.begin(write=True)
    holder.execute("INSERT INTO t (who) VALUES (0)")

    def write() -> None:
        with closing(sqlite.connect(path, busy_ms=20_000)) as wire:
            wire.execute("INSERT INTO t (who) VALUES (1)")

    thread = threading.Thread(target=write)
    thread.start()
    wait_until(lambda: waiting(path) == 1, what="the writer to wait")
    holder.close()
    joined(thread)
    with closing(sqlite.connect(path)) as wire:
        assert wire.execute("SELECT who FROM t").rows == [(1,)]


def test_many_rows_at_once_take_one_place_in_the_line_and_leave_it(path: Path) -> None:
    """Each row is a statement that commits by itself, while another writer of the process waits."""
    holder = sqlite.connect(path)
    holder.begin(write=True)

    def write() -> None:
        with closing(sqlite.connect(path, busy_ms=20_000)) as wire:
            wire.execute("INSERT INTO t (who) VALUES (1)")

    def write_many() -> None:
        with closing(sqlite.connect(path, busy_ms=20_000)) as wire:
            wire.execute_many("INSERT INTO t (who) VALUES (:who)", [{"who": 2}] * 20)

    threads = [threading.Thread(target=write), threading.Thread(target=write_many)]
    for number, thread in enumerate(threads, 1):
        thread.start()
        wait_until(partial(is_long, path, number), what="its place in the line")
    holder.commit()
    joined(*threads)
    assert waiting(path) == 0
    assert holder.execute("SELECT count(*) FROM t").scalar() == 21
    holder.close()
