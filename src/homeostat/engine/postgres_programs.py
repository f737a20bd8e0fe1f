"""PostgreSQL's own pg_dump and pg_restore: found, checked for their version, and run as children.

Passwords reach a child in its environment, never in its arguments. What one child writes goes
through this process to the other, so that both end with it.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from homeostat.driver.redact import redact_message
from homeostat.errors import CloneRefusedError
from homeostat.secret import split_password

CHUNK_BYTES = 262_144
VERSION_SECONDS_MAX = 10
END_SECONDS_MAX = 10
NICE = 10
SAID_CHARACTERS_MAX = 400
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")
_DEBIAN = Path("/usr/lib/postgresql")


@dataclass(frozen=True, slots=True)
class Programs:
    """pg_dump and pg_restore of one installation; `major` is their version."""

    dump: Path
    restore: Path
    major: int


def find_programs(directory: str) -> Programs | None:
    """Return the programs: of the directory given, else the newest of PATH and Debian's places."""
    places = [directory] if directory else [*_path_places(), *map(str, _DEBIAN.glob("*/bin"))]
    found = [programs for place in places if (programs := _programs_in(place)) is not None]
    return max(found, key=lambda programs: programs.major, default=None)


def _path_places() -> list[str]:
    dump = shutil.which("pg_dump")
    return [str(Path(dump).parent)] if dump else []


def _programs_in(place: str) -> Programs | None:
    dump, restore = Path(place) / "pg_dump", Path(place) / "pg_restore"
    if not (os.access(dump, os.X_OK) and os.access(restore, os.X_OK)):
        return None
    try:
        said = subprocess.run(  # noqa: S603  the server's own program
            [dump, "--version"], capture_output=True, text=True, timeout=VERSION_SECONDS_MAX,
            check=False,
        ).stdout  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.search(said)
    return Programs(dump, restore, int(match.group(1))) if match else None


class Child:
    """A program that runs with low priority; its messages are kept for the error."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        url: str,
        reads: bool,
        writes: bool,
        options: str = "",
        application: str = "",
        pardoned: str = "",
    ) -> None:
        """Start it.

        Args:
            command: the program and its arguments, without the database.
            url: the database; a password in it goes into the environment.
            reads: whether its standard input is a pipe.
            writes: whether its standard output is one.
            options: settings of its session, as in PGOPTIONS.
            application: the name of its session; empty: the program's.
            pardoned: a word; failures that all speak of it count as none.
        """
        place, password = split_password(url)
        environment = dict(os.environ)
        if password is not None:
            environment["PGPASSWORD"] = password
        if options:
            environment["PGOPTIONS"] = f"{environment.get('PGOPTIONS', '')} {options}".strip()
        if application:
            environment["PGAPPNAME"] = application
        self.name = Path(command[0]).name
        self._pardoned = pardoned
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  closed in `finish`
        self.process = subprocess.Popen(  # noqa: S603  the server's own program
            [*command, f"--dbname={place}"],
            stdin=subprocess.PIPE if reads else subprocess.DEVNULL,
            stdout=subprocess.PIPE if writes else subprocess.DEVNULL,
            stderr=self._said,
            env=environment,
        )
        with suppress(psutil.Error, OSError):
            psutil.Process(self.process.pid).nice(NICE)

    def read(self) -> bytes:
        """Return the next bytes of its output; empty at the end."""
        return _pipe(self.process.stdout).read(CHUNK_BYTES)

    def write(self, data: bytes) -> bool:
        """Give it bytes; return whether it still takes them."""
        try:
            _pipe(self.process.stdin).write(data)
        except (BrokenPipeError, OSError):
            return False
        return True

    def finish(self, *, seconds: float) -> str:
        """Wait for its end; return what it said of its failure, without values; empty: it did well.

        It is killed when it takes longer.
        """
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            code = -signal.SIGKILL
        self._said.seek(0)
        text = self._said.read().decode(errors="replace").strip()
        self._said.close()
        if code == 0:
            return ""
        lines = [line for line in text.splitlines() if "error:" in line]
        if code > 0 and lines and self._pardoned and all(self._pardoned in line for line in lines):
            return ""
        lines = lines or text.splitlines()[-1:]
        how = (
            f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        )
        first = lines[0] if lines else f"it {how}"
        return f"{self.name}: {redact_message(first)}"[:SAID_CHARACTERS_MAX]

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(END_SECONDS_MAX)


def pump(source: Child, target: Child, go_on: Callable[[int], None], *, seconds_max: float) -> int:
    """Move all of one child's output into the other; return the bytes.

    Args:
        source: pg_dump.
        target: pg_restore.
        go_on: called with the bytes moved, 0 at first; what it raises ends both.
        seconds_max: how long the target may take from the end of the source's output to its own.

    Raises:
        CloneRefusedError: one of them failed, or was ended; the detail is the first message.
    """
    moved, said_first, said = _pumped(source, target, go_on, seconds_max)
    if said or said_first:
        broken = any(word in said_first for word in ("Broken pipe", "could not write", "SIGPIPE"))
        raise CloneRefusedError(
            "The dump could not be restored. Mend the cause named; nothing is left.",
            detail=said if said and (broken or not said_first) else said_first,
        )
    return moved


def _pumped(
    source: Child, target: Child, go_on: Callable[[int], None], seconds_max: float
) -> tuple[int, str, str]:
    moved = 0
    try:
        go_on(moved)  # a new part of a copy: what is counted begins anew
        while data := source.read():
            if not target.write(data):
                break
            moved += len(data)
            go_on(moved)
    except BaseException:
        for child in (source, target):
            child.kill()
            child.finish(seconds=0)
        raise
    said_first = source.finish(seconds=END_SECONDS_MAX)
    return moved, said_first, target.finish(seconds=seconds_max)


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None  # noqa: S101  asked for when it was started
    return pipe
