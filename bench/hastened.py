"""An operator whose clock runs faster than time, so that hours of it pass in a minute.

    python -m bench.hastened SPEED URL DATA

Everything else is `homeostat up` with its defaults. Prints the number of performance ticks after
each of them. Ends when it is told to stop.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from homeostat import main as wiring
from homeostat.config import Config

WAIT_SECONDS = 0.2


class FastClock:
    """Time that began when this was made and runs so many times faster; fulfils `clock.Clock`."""

    def __init__(self, speed: float) -> None:
        """Begin now."""
        self._speed = speed
        self._began, self._monotonic = time.time(), time.monotonic()

    def now(self) -> float:
        """Return seconds since 1970 UTC."""
        return self._began + self.monotonic()

    def monotonic(self) -> float:
        """Return seconds since the begin."""
        return (time.monotonic() - self._monotonic) * self._speed

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until the event is set (True) or the seconds have passed (False)."""
        return event.wait(max(0.0, seconds) / self._speed)


def main() -> None:
    """Run until told to stop."""
    speed, url, data = float(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    wiring.prepare_data(data)
    wiring.log_to(data / wiring.LOG_FILE)
    with ExitStack() as stack:
        running = wiring.start(data, url=url, config=Config(), clock=FastClock(speed), stack=stack)
        operator = running.operator
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda _number, _frame: operator.stop_event.set())
        events, ticks = -1, -1
        while not operator.stop_event.is_set():
            before = ticks
            events, ticks = operator.wait_for_change(events, ticks, WAIT_SECONDS)
            if ticks != before:
                print(ticks, flush=True)


if __name__ == "__main__":
    main()
