"""Stopping what runs: never what runs after it, however closely it follows."""

from __future__ import annotations

import threading
import time

from homeostat.driver.watch import Watch

STATEMENTS = 500


def test_a_stop_never_hits_the_statement_after() -> None:
    between: list[str] = []
    hits = 0
    is_guarded = False

    def stop(_: int) -> float | None:
        nonlocal hits
        hits += 1
        if not is_guarded:
            between.append(watch.reason)
        time.sleep(0)  # lets the statement end meanwhile, if it does not wait
        if not is_guarded:
            between.append(watch.reason)
        return None

    watch = Watch(stop)
    done = threading.Event()

    def cancel_all_the_time() -> None:
        while not done.is_set():
            watch.cancel()

    threads = [threading.Thread(target=cancel_all_the_time) for _ in range(2)]
    for thread in threads:
        thread.start()
    ended_at = time.monotonic() + 10.0
    ran = 0
    while (ran < STATEMENTS or not hits) and time.monotonic() < ended_at:
        is_guarded = True
        watch.start(0.01 if ran % 2 else None)
        time.sleep(0)
        watch.finish()
        is_guarded = False
        ran += 1
    done.set()
    for thread in threads:
        thread.join()
    assert hits, "nothing was stopped"
    assert between == []
