from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from homeostat.clock import ManualClock
from homeostat.errors import LeaseExpiredError, OwnedElsewhereError, OwnershipLostError
from homeostat.logbook import Logbook
from homeostat.logbook.rows import Owner
from homeostat.operate.ownership import Ownership, is_alive, this_process
from tests.patience import SECONDS_MAX
from tests.servers import wait_until

LEASE = 10.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def book(tmp_path: Path, clock: ManualClock) -> Iterator[Logbook]:
    logbook = Logbook.open(tmp_path / "logbook.db", clock=clock)
    yield logbook
    logbook.close()


@pytest.fixture
def other_process() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait(SECONDS_MAX)


def owner_of(process: subprocess.Popen[bytes]) -> Owner:
    started = psutil.Process(process.pid).create_time()
    return msgspec.structs.replace(this_process(), pid=process.pid, started=started)


def claim(book: Logbook, clock: ManualClock, owner: Owner) -> Ownership:
    return Ownership(book, scope="db", owner=owner, clock=clock, lease_seconds=LEASE)


def test_a_living_owner_within_its_lease_is_left_alone(
    book: Logbook, clock: ManualClock, other_process: subprocess.Popen[bytes]
) -> None:
    claim(book, clock, owner_of(other_process)).take()
    with pytest.raises(OwnedElsewhereError, match=str(other_process.pid)):
        claim(book, clock, this_process()).take()
    assert other_process.poll() is None


def test_an_owner_that_is_gone_is_succeeded_at_once(
    book: Logbook, clock: ManualClock, other_process: subprocess.Popen[bytes]
) -> None:
    first = claim(book, clock, owner_of(other_process))
    first.take()
    other_process.kill()
    other_process.wait(SECONDS_MAX)
    second = claim(book, clock, this_process())
    succession = second.take()
    assert not succession.ended
    assert second.epoch == first.epoch + 1


def test_a_stopped_owner_is_ended_after_its_lease(
    book: Logbook, clock: ManualClock, other_process: subprocess.Popen[bytes]
) -> None:
    owner = owner_of(other_process)
    claim(book, clock, owner).take()
    os.kill(other_process.pid, signal.SIGSTOP)
    wait_until(
        lambda: psutil.Process(other_process.pid).status() == psutil.STATUS_STOPPED, 5.0, "a stop"
    )
    assert is_alive(owner)
    clock.advance(LEASE + 1)
    assert claim(book, clock, this_process()).take().ended
    assert other_process.wait(5.0) == -signal.SIGKILL


def test_another_process_with_the_same_pid_is_not_ended(
    book: Logbook, clock: ManualClock, other_process: subprocess.Popen[bytes]
) -> None:
    owner = owner_of(other_process)
    before = msgspec.structs.replace(owner, started=owner.started - 1_000)
    claim(book, clock, before).take()
    clock.advance(LEASE + 1)
    claim(book, clock, this_process()).take()
    assert other_process.poll() is None


def test_an_owner_elsewhere_loses_its_word_when_it_cannot_be_ended(
    book: Logbook, clock: ManualClock
) -> None:
    elsewhere = msgspec.structs.replace(this_process(), host="elsewhere")
    first = claim(book, clock, elsewhere)
    first.take()
    clock.advance(LEASE + 1)
    claim(book, clock, this_process()).take()
    with pytest.raises(OwnershipLostError):
        first.renew()
    with pytest.raises(OwnershipLostError):
        _ = first.tenure


def test_a_lease_that_ran_out_writes_nothing_until_it_is_renewed(
    book: Logbook, clock: ManualClock
) -> None:
    mine = claim(book, clock, this_process())
    mine.take()
    clock.advance(LEASE + 1)
    with pytest.raises(LeaseExpiredError):
        _ = mine.tenure
    mine.renew()
    assert mine.tenure.epoch == mine.epoch


def test_a_released_scope_is_free_at_once(
    book: Logbook, clock: ManualClock, other_process: subprocess.Popen[bytes]
) -> None:
    first = claim(book, clock, owner_of(other_process))
    first.take()
    first.release()
    claim(book, clock, this_process()).take()
    assert other_process.poll() is None
