"""An application for fault tests: its pool is held while idle by several threads, all the time.

    python -m tests.faults.application URL DATA [MODE]

Modes: `crowded` (the default): 8 threads on a pool of 2, so that more connections help. `serial`:
40 threads that also take turns on a lock of their own, so that they hardly help anybody. `placebo`:
crowded until the limit is raised, then the trouble ends by itself. `at-ease`: 6 threads on a pool
of 8. One line `ready` is printed; the process ends with its standard input.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from homeostat.access import AgentOptions, Database, Operation
from homeostat.errors import HomeostatError

HOLD_SECONDS = 0.03
REST_SECONDS = 0.03
READ = Operation(name="read", sql="SELECT 1")
SLOW = "call_partner"


@dataclass(frozen=True)
class Mode:
    pool: int = 2
    threads: int = 8
    serial: bool = False
    ends: bool = False


POOL = Mode().pool
MODES = {
    "crowded": Mode(),
    "serial": Mode(threads=40, serial=True),
    "placebo": Mode(ends=True),
    "at-ease": Mode(pool=8, threads=6),
}


def main() -> None:
    url, data = sys.argv[1], Path(sys.argv[2])
    mode = MODES[sys.argv[3] if len(sys.argv) > 3 else "crowded"]
    turn = threading.Lock() if mode.serial else contextlib.nullcontext()
    database = Database.open(
        url,
        pool=mode.pool,
        agent=AgentOptions(directory=data),
        application="shop",
        operations=[READ],
        create=True,
    )
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            over = mode.ends and database.pool.limit > mode.pool
            with contextlib.suppress(HomeostatError):
                if over:
                    time.sleep(REST_SECONDS)
                else:
                    with database.transaction(write=False, name=SLOW) as session, turn:
                        session.execute(READ)
                        time.sleep(HOLD_SECONDS)
                database.execute(READ)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(mode.threads)]
    for thread in threads:
        thread.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        if line.strip() == "limit":
            sys.stdout.write(f"{database.pool.limit}\n")
            sys.stdout.flush()
    stop.set()
    database.close()


if __name__ == "__main__":
    main()
