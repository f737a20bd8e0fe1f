"""One owner at a time, under an epoch that only grows; a late holder writes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from homeostat.clock import ManualClock, SystemClock
from homeostat.errors import OwnedElsewhereError, OwnershipLostError
from homeostat.logbook import Logbook
from homeostat.logbook.rows import Tenure
from tests.logbook.making import child, finding, owner, said, tell, wait_for


def test_the_second_owner_waits_for_the_lease(logbook: Logbook, clock: ManualClock) -> None:
    first = logbook.claim("scope", owner(1), lease_seconds=15)
    assert logbook.tenure("scope") == first
    clock.advance(14.9)
    with pytest.raises(OwnedElsewhereError) as refused:
        logbook.claim("scope", owner(2), lease_seconds=15)
    assert refused.value.tenure == first
    clock.advance(0.2)
    assert logbook.tenure("scope") == first  # past its expiry the waiter still sees whom to end
    second = logbook.claim("scope", owner(2), lease_seconds=15)
    assert (second.epoch, second.owner) == (2, owner(2))


def test_scopes_have_nothing_to_do_with_each_other(logbook: Logbook) -> None:
    assert logbook.claim("one", owner(1), lease_seconds=15).epoch == 1
    assert logbook.claim("other", owner(2), lease_seconds=15).epoch == 1
    assert logbook.tenure("third") is None


def test_a_process_number_used_again_is_another_owner(logbook: Logbook) -> None:
    logbook.claim("scope", owner(1, started=1.0), lease_seconds=15)
    with pytest.raises(OwnedElsewhereError):
        logbook.claim("scope", owner(1, started=2.0), lease_seconds=15)


def test_claiming_again_fences_the_own_older_tenure(logbook: Logbook) -> None:
    older = logbook.claim("scope", owner(), lease_seconds=15)
    newer = logbook.claim("scope", owner(), lease_seconds=15)
    assert newer.epoch == older.epoch + 1
    with pytest.raises(OwnershipLostError), logbook.write(older):
        pass
    with logbook.write(newer) as tx:
        tx.save_finding(finding())


def test_renewing_extends_also_what_expired(logbook: Logbook, clock: ManualClock) -> None:
    tenure = logbook.claim("scope", owner(), lease_seconds=15)
    clock.advance(100)
    renewed = logbook.renew(tenure, lease_seconds=15)
    assert (renewed.epoch, renewed.expires) == (tenure.epoch, clock.now() + 15)
    with pytest.raises(OwnedElsewhereError):
        logbook.claim("scope", owner(2), lease_seconds=15)


def test_released_is_free_at_once_and_epochs_go_on(path: Path, clock: ManualClock) -> None:
    with Logbook.open(path, clock=clock) as logbook:
        first = logbook.claim("scope", owner(1), lease_seconds=15)
        logbook.release(first)
        logbook.release(first)
        assert logbook.tenure("scope") is None
        with pytest.raises(OwnershipLostError), logbook.write(first):
            pass
        with pytest.raises(OwnershipLostError):
            logbook.renew(first, lease_seconds=15)
    with Logbook.open(path, clock=clock) as logbook:
        second = logbook.claim("scope", owner(2), lease_seconds=15)
        assert second.epoch == 2
        logbook.release(first)  # what another owns is not given back
        assert logbook.tenure("scope") == second


def test_a_lost_tenure_writes_nothing(logbook: Logbook, clock: ManualClock) -> None:
    old = logbook.claim("scope", owner(1), lease_seconds=15)
    clock.advance(16)
    new = logbook.claim("scope", owner(2), lease_seconds=15)
    with pytest.raises(OwnershipLostError, match="epoch 1"), logbook.write(old) as tx:
        tx.save_finding(finding())
    with pytest.raises(OwnershipLostError):
        logbook.renew(old, lease_seconds=15)
    assert logbook.findings() == []
    with logbook.write(new) as tx:
        tx.save_finding(finding())


def test_an_invented_tenure_writes_nothing(logbook: Logbook) -> None:
    invented = Tenure(scope="never claimed", owner=owner(), epoch=1, expires=9e9)
    with pytest.raises(OwnershipLostError), logbook.write(invented):
        pass


def test_a_holder_in_another_process_is_fenced(path: Path) -> None:
    with Logbook.open(path, clock=SystemClock()) as logbook, child("holder", path) as holder:
        assert said(holder) == "holds 1"
        tell(holder, "write")
        assert said(holder) == "written"
        held = logbook.tenure("scope")
        assert held is not None
        wait_for("the lease to end", lambda: SystemClock().now() > held.expires)
        mine = logbook.claim("scope", owner(1), lease_seconds=60)
        assert mine.epoch == 2
        tell(holder, "write")
        assert said(holder) == "lost"
        with logbook.write(mine) as tx:
            tx.audit(actor="new", action="write", database="", subject="", detail={})
        assert [entry.actor for entry in logbook.audit()] == ["new", "old"]
        assert logbook.verify_audit() == 2
