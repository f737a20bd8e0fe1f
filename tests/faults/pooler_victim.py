"""An operator that sizes a PgBouncer's pool, and kills itself at a step of it.

    python -m tests.faults.pooler_victim URL DATA CONSOLE INI [before|after N]
    python -m tests.faults.pooler_victim URL DATA CONSOLE INI STEP N

The first kills it before or after its n-th commit of a remedy. The second at the n-th time that it
comes to a STEP of sizing: `write` (the file is about to be replaced), `reload` (it was, and the
pooler has not been told), `reloaded` (it has). A growth that was kept is then undone, as a person
would. The console's password is in POOLER_PASSWORD.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from homeostat.config import DatabaseConfig
from homeostat.engine import pgbouncer as facet
from homeostat.errors import HomeostatError
from homeostat.main import Running
from tests.faults.dying import die, mortal, serve
from tests.faults.victim import CONFIG

PARTS = frozenset({"save_remedy", "save_step"})
STEPS = {"write": ("pgbouncer_ini", "replace"), "reload": ("pgbouncer", "reload"),
         "reloaded": ("pgbouncer", "reload")}  # fmt: skip


def die_at(step: str, number: int) -> None:
    """Have this process die at the n-th time that it comes to a step."""
    module = getattr(facet, STEPS[step][0])
    real: Callable[..., Any] = getattr(module, STEPS[step][1])
    came = 0

    def counted(*arguments: Any, **named: Any) -> Any:
        nonlocal came
        came += 1
        if came == number and step != "reloaded":
            die()
        result = real(*arguments, **named)
        if came == number:
            die()
        return result

    setattr(module, STEPS[step][1], counted)


def undo(running: Running) -> None:
    """Undo the growth when it was kept."""
    while not running.operator.stop_event.wait(0.1):
        for one in running.console.remedies():
            if one.key == "grow-pool" and one.state == "kept":
                try:
                    running.console.decide(one.id, "revert", actor="ana")
                except HomeostatError:
                    continue


def main() -> None:
    url, data, console, ini = sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4]
    words = sys.argv[5:]
    if words and words[0] in STEPS:
        die_at(words[0], int(words[1]))
        words = []
    mortal(data, words, parts=PARTS)
    database = DatabaseConfig(
        url=url, pooler=console, pooler_password="env:POOLER_PASSWORD", pooler_ini=ini
    )
    serve(data, databases={"shop": database}, config=CONFIG, also=undo)


if __name__ == "__main__":
    main()
