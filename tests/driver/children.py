"""Child processes for the SQLite tests: a writer with another library, and a reader as nobody."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.patience import SECONDS_MAX, line_of

WRITER = """
import sqlite3, sys
path, mode = sys.argv[1:]
db = sqlite3.connect(path, isolation_level=None, timeout=30)
db.execute(f"PRAGMA journal_mode = {mode}")
db.execute("PRAGMA wal_autocheckpoint = 0")
db.execute("PRAGMA user_version = 7")
db.execute("CREATE TABLE IF NOT EXISTS entry (number INTEGER PRIMARY KEY, text TEXT)")
print("ready", flush=True)
for line in sys.stdin:
    word, *rest = line.split()
    if word == "write":  # the acknowledgement is printed after the commit
        for number in range(int(rest[0]), int(rest[1])):
            db.execute("INSERT INTO entry VALUES (?, ?)", (number, "x" * 100))
            print(number, flush=True)
    elif word == "forever":
        number = int(rest[0])
        while True:
            db.execute("INSERT INTO entry VALUES (?, ?)", (number, "x" * 100))
            print(number, flush=True)
            number += 1
    elif word == "hold":
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO entry VALUES (-1, '')")
        print("held", flush=True)
    elif word == "spill":  # more than the cache holds, so that the file is written before COMMIT
        db.execute("PRAGMA cache_size = 2")
        db.execute("BEGIN IMMEDIATE")
        for number in range(1000, 2000):
            db.execute("INSERT INTO entry VALUES (?, ?)", (number, "x" * 500))
        print("spilled", flush=True)
    elif word == "release":
        db.execute("ROLLBACK")
        print("released", flush=True)
    elif word == "count":
        print(db.execute("SELECT count(*) FROM entry").fetchone()[0], flush=True)
db.close()
"""


class Writer:
    """A process of another application, with Python's own SQLite library."""

    def __init__(self, path: Path, *, mode: str = "wal") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.line() == "ready"

    @property
    def pid(self) -> int:
        return self.process.pid

    def say(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def line(self) -> str:
        return line_of(self.process.stdout).strip()

    def ask(self, command: str) -> str:
        self.say(command)
        return self.line()

    def write(self, first: int, last: int) -> None:
        self.say(f"write {first} {last}")
        for number in range(first, last):
            assert self.line() == str(number)

    def kill(self) -> list[int]:
        """Kill it; return what it had acknowledged and nobody had read."""
        self.process.kill()
        out, _ = self.process.communicate(timeout=SECONDS_MAX)
        return [int(line) for line in out.split("\n")[:-1] if line.isdigit()]

    def end(self) -> None:
        """Let it close the database and end."""
        self.process.communicate(timeout=SECONDS_MAX)
        assert self.process.returncode == 0


def python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run Python code in a child and return what came of it."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


AS_NOBODY = """
import json, os, sys
from homeostat.driver import sqlite
from homeostat.errors import HomeostatError
path, options = sys.argv[1], json.loads(sys.argv[2])
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
statement = options.pop("statement")
try:
    wire = sqlite.connect(path, **options)
    wire.execute(statement)
    wire.close()
    print("none")
except HomeostatError as error:
    print(type(error).__name__, error)
"""


def as_nobody(path: Path, statement: str = "SELECT * FROM sqlite_schema", **options: object) -> str:
    """Open a database as a user without rights; return the error's class and text, or `none`."""
    options["statement"] = statement
    done = python(AS_NOBODY, path, json.dumps(options))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def names(directory: Path) -> set[str]:
    """Return the names of the files in a directory."""
    return {path.name for path in directory.iterdir()}
