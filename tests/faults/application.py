"""An application for fault tests: its pool of 2 is held while idle by 8 threads, all the time.

    python -m tests.faults.application URL DATA [--serial]

With --serial 40 threads also take turns on one lock of their own, so that more connections help
hardly anybody. One line `ready` is printed; the process ends with its standard input.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from pathlib import Path

from homeostat.access import AgentOptions, Database, Operation
from homeostat.errors import HomeostatError

POOL = 2
THREADS = 8
THREADS_SERIAL = 40
HOLD_SECONDS = 0.03
READ = Operation(name="read", sql="SELECT 1")
SLOW = "call_partner"


def main() -> None:
    url, data = sys.argv[1], Path(sys.argv[2])
    serial = "--serial" in sys.argv
    turn = threading.Lock() if serial else contextlib.nullcontext()
    database = Database.open(
        url,
        pool=POOL,
        agent=AgentOptions(directory=data),
        application="shop",
        operations=[READ],
        create=True,
    )
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            with contextlib.suppress(HomeostatError):
                with database.transaction(write=False, name=SLOW) as session, turn:
                    session.execute(READ)
                    time.sleep(HOLD_SECONDS)
                database.execute(READ)

    threads = [
        threading.Thread(target=work, daemon=True)
        for _ in range(THREADS_SERIAL if serial else THREADS)
    ]
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
