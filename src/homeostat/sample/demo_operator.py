"""The demo's operator process: `homeostat up` with the demo's windows, ending with its parent.

python -m homeostat.sample.demo_operator URL DATA [PORT]

Its page has buttons for troubles: wishes are written to standard output, one a line, and what the
traffic says of troubles comes in by standard input.
"""

from __future__ import annotations

import sys
from pathlib import Path

from homeostat.clock import SystemClock
from homeostat.errors import HomeostatError
from homeostat.main import run_operator
from homeostat.sample.demo_config import CONFIG_FILE
from homeostat.sample.process import name_process
from homeostat.sample.trouble_board import TroubleBoard


def main(arguments: list[str]) -> int:
    """Run until the parent closes standard input or a signal comes; return the exit code."""
    url, data = arguments[0], Path(arguments[1])
    name_process("homeostat-op")
    board = TroubleBoard(say=_say, clock=SystemClock())
    try:
        return run_operator(
            urls=[url],
            data=data,
            port=int(arguments[2]) if len(arguments) > 2 else None,
            config=str(data / CONFIG_FILE),
            say=lambda _line: None,  # the parent says what is to be said
            heard=board.hear,
            troubles=board,
        )
    except HomeostatError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1


def _say(line: bytes) -> None:
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
