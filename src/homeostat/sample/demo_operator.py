"""The demo's operator process: `homeostat up` with the demo's windows, ending with its parent.

python -m homeostat.sample.demo_operator URL DATA [PORT]
"""

from __future__ import annotations

import sys
from pathlib import Path

from homeostat.errors import HomeostatError
from homeostat.main import run_operator
from homeostat.sample.process import name_process


def main(arguments: list[str]) -> int:
    """Run until the parent closes standard input or a signal comes; return the exit code."""
    url, data = arguments[0], Path(arguments[1])
    name_process("homeostat-op")
    try:
        return run_operator(
            urls=[url],
            data=data,
            port=int(arguments[2]) if len(arguments) > 2 else None,
            config=str(data / "demo.toml"),
            until_stdin_closes=True,
        )
    except HomeostatError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
