"""A forked child: what has threads begins anew there, and what was dropped is not called."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FORK = """
import os, sys
from homeostat.driver import sqlite
from homeostat.driver.fork import FORKED
from homeostat.errors import DeadlineExceededError

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"

def is_stopped_at_its_deadline():
    wire = sqlite.connect(sys.argv[1], create=True)
    try:
        wire.execute(ENDLESS, deadline_ms=50)
    except DeadlineExceededError:
        return True
    finally:
        wire.close()

class Told:
    def __init__(self):
        FORKED.add(self)

    def _after_fork(self):
        calls.append(self)

calls = []
kept, taken_out = Told(), Told()
Told()
FORKED.discard(taken_out)
assert is_stopped_at_its_deadline()  # the thread that rings is there from now on
child = os.fork()
assert calls == ([] if child else [kept])
assert is_stopped_at_its_deadline()
if child:
    assert os.waitpid(child, 0)[1] == 0
"""


def test_a_child_has_its_own_deadlines_and_tells_only_what_still_lives(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", FORK, str(tmp_path / "data.db")]
    subprocess.run(command, check=True, timeout=20)
