"""Seeding: adopts only what is empty, finishes what was begun, makes the same rows every time."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from homeostat.clock import ManualClock
from homeostat.driver.wire import Wire
from homeostat.errors import DemoRefusedError
from homeostat.sample.address import connect, connect_reading
from homeostat.sample.schema import TABLES
from homeostat.sample.seed import find, seed
from tests.sample.conftest import USERS

SEED_IN_CHILD = """
import sys
from homeostat.clock import ManualClock
from homeostat.sample import seed
seed.BLOCK_USERS = 20
def tell(share, text):
    sys.stdout.write(text + "\\n")
    sys.stdout.flush()
seed.seed(sys.argv[1], users=int(sys.argv[2]), clock=ManualClock(), progress=tell)
"""


def reading(url: str) -> closing[Wire]:
    return closing(connect_reading(url, application_name="test"))


def digests(url: str) -> dict[str, str]:
    """Return a digest of all rows of each table, the same for equal values on both engines."""
    with reading(url) as wire:
        found = {}
        for table in TABLES:
            rows = wire.execute(f"SELECT * FROM {table} ORDER BY 1, 2").rows
            plain = [tuple(int(v) if isinstance(v, bool) else v for v in row) for row in rows]
            found[table] = hashlib.sha256(repr(plain).encode()).hexdigest()
        return found


def kill_while_seeding(url: str, *, users: int, after: str) -> None:
    """Seed in a process of its own and kill it as soon as it says a text."""
    process = subprocess.Popen(
        [sys.executable, "-c", SEED_IN_CHILD, url, str(users)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            if line.startswith(after):
                process.send_signal(signal.SIGKILL)
                break
    assert process.wait(10) == -signal.SIGKILL


def test_about_41_rows_a_user_the_few_do_most(seeded_url: str) -> None:
    with reading(seeded_url) as wire:
        rows = sum(int(str(wire.execute(f"SELECT count(*) FROM {t}").scalar())) for t in TABLES)
        assert 38 * USERS < rows < 44 * USERS
        counts = wire.execute(
            "SELECT count(*) AS n FROM analytics_events GROUP BY user_id ORDER BY n DESC"
        ).rows
        assert int(str(counts[0][0])) > 5 * int(str(counts[len(counts) // 2][0]))
        now_ms = int(ManualClock().now() * 1000)
        low, high = wire.execute(
            "SELECT min(occurred_ms), max(occurred_ms) FROM analytics_events"
        ).rows[0]
        assert now_ms - 90 * 86_400_000 <= int(str(low)) < now_ms - 85 * 86_400_000
        assert now_ms - 5 * 86_400_000 < int(str(high)) <= now_ms
        drafts = wire.execute("SELECT count(*) FROM assessments WHERE draft").scalar()
        assert int(str(drafts)) > 0
        declared = wire.execute("SELECT count(personality_type) FROM users").scalar()
        assert 0.4 * USERS < int(str(declared)) < 0.6 * USERS


def test_the_same_seed_makes_the_same_rows_on_both_engines(
    pg_database: str, tmp_path: Path
) -> None:
    one, two, other = pg_database, str(tmp_path / "two.db"), str(tmp_path / "other.db")
    for url, random_seed in ((one, 1), (two, 1), (other, 2)):
        seed(url, users=120, random_seed=random_seed, clock=ManualClock())
    assert digests(one) == digests(two)
    assert all(digests(two)[table] != digests(other)[table] for table in TABLES)


def test_every_key_of_the_seed_is_valid(tmp_path: Path) -> None:
    """PostgreSQL checks them when it adds the constraints; SQLite is asked."""
    url = str(tmp_path / "app.db")
    seed(url, users=USERS, clock=ManualClock())
    with closing(connect(url, application_name="test")) as wire:
        assert wire.execute("PRAGMA foreign_key_check").rows == []
        assert wire.execute("PRAGMA integrity_check").scalar() == "ok"
        assert wire.execute("PRAGMA journal_mode").scalar() == "wal"


def test_foreign_keys_hold_after_seeding(seeded_url: str) -> None:
    with closing(connect(seeded_url, application_name="test")) as wire:
        wire.execute("DELETE FROM users WHERE id = 1")
        for table in TABLES[1:]:
            assert wire.execute(f"SELECT count(*) FROM {table} WHERE user_id = 1").scalar() == 0


def test_a_seeded_demo_is_found_whatever_number_is_asked_for(seeded_url: str) -> None:
    before = digests(seeded_url)
    for users in (USERS, 7):
        found = seed(seeded_url, users=users)
        assert (found.users, found.rows, found.outcome) == (USERS, 0, "found")
    assert digests(seeded_url) == before


def test_other_peoples_tables_are_refused_and_left_alone(empty_url: str) -> None:
    with closing(connect(empty_url, application_name="test", create=True)) as wire:
        wire.execute("CREATE TABLE invoices (id INTEGER)")
        wire.execute("INSERT INTO invoices VALUES (7)")
    file = Path(empty_url)
    before = file.read_bytes() if file.exists() else b""
    with pytest.raises(DemoRefusedError, match="invoices"):
        seed(empty_url, users=10)
    if before:
        assert file.read_bytes() == before
    with reading(empty_url) as wire:
        assert wire.execute("SELECT id FROM invoices").scalar() == 7
        with pytest.raises(DemoRefusedError):
            find(empty_url)


def test_a_demo_of_a_newer_version_is_refused(seeded_url: str) -> None:
    with closing(connect(seeded_url, application_name="test")) as wire:
        wire.execute("UPDATE homeostat_demo SET version = 99")
    with pytest.raises(DemoRefusedError, match="newer"):
        seed(seeded_url, users=10)


@pytest.mark.parametrize("after", ["0 of", "40 of", "indexes"])
def test_a_killed_seeding_goes_on_to_the_same_rows(
    empty_url: str, other_url: str, after: str
) -> None:
    kill_while_seeding(empty_url, users=100, after=after)
    marker = find(empty_url)
    assert marker is not None
    told: list[str] = []
    done = seed(
        empty_url, users=100, clock=ManualClock(5.0), progress=lambda _, text: told.append(text)
    )
    assert done.users == 100
    if marker.state == "seeding":  # the kill may have come after the last commit
        assert done.outcome == "continued"
        assert told[0].startswith(f"{marker.loaded} of") or marker.loaded == 100
    seed(other_url, users=100, clock=ManualClock())
    assert digests(empty_url) == digests(other_url)
    found = find(empty_url)
    assert found is not None
    assert found.state == "seeded"


def test_half_a_seeding_of_another_size_is_begun_anew(empty_url: str, other_url: str) -> None:
    kill_while_seeding(empty_url, users=400, after="40 of")
    done = seed(empty_url, users=60, clock=ManualClock())
    assert (done.users, done.outcome) == (60, "anew")
    seed(other_url, users=60, clock=ManualClock())
    assert digests(empty_url) == digests(other_url)


def test_progress_rises_to_one(empty_url: str) -> None:
    told: list[float] = []
    seed(empty_url, users=50, progress=lambda share, _text: told.append(share))
    assert told == sorted(told)
    assert told[-1] == 1.0
