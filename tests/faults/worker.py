"""An operator with a long statement under way: `python -m tests.faults.worker URL DATA`."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from homeostat.clock import SystemClock
from homeostat.config import Config, OperateConfig
from homeostat.operate.operator import Operator
from homeostat.operate.watch import WatchHands

LEASE_SECONDS = 1_200.0  # so that the statement's own time-out does not end it


def main() -> None:
    url, data = sys.argv[1], Path(sys.argv[2])
    config = Config(operate=OperateConfig(lease_seconds=LEASE_SECONDS))
    operator = Operator(data, rooms=[], config=config, clock=SystemClock())
    one = operator.find(operator.attach(url).key)
    hands = WatchHands(one.watch, one.ownership, LEASE_SECONDS)

    def work() -> None:
        with hands.work(run=7, lock="orders") as wire:
            wire.execute("SELECT pg_sleep(600)")

    threading.Thread(target=work, daemon=True).start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
