"""A process that begins to clone a database and stops in the middle, to be killed.

    python -m tests.engine.copier sqlite FILE DIRECTORY
    python -m tests.engine.copier postgresql URL

It prints a line when it is in the middle of the copy and then waits for ever.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

from homeostat.config import CloneConfig
from homeostat.engine import Target, Unsupported, open_engine, postgres_clone, sqlite_clone
from homeostat.engine.postgres_programs import pump


def main() -> None:
    """Clone the database that the arguments name."""
    kind, url, *rest = sys.argv[1:]

    def stop(*_: object) -> None:
        sys.stdout.write("in the middle\n")
        sys.stdout.flush()
        threading.Event().wait()

    if kind == "sqlite":
        config = CloneConfig(directory=rest[0])

        def limit(*_: object) -> Callable[[int], None]:
            return stop

        sqlite_clone.SqliteClone._limit = limit  # type: ignore[method-assign, assignment]
    else:
        config = CloneConfig(url=rest[0])
        vars(postgres_clone)["pump"] = lambda source, target, _, **limits: pump(
            source, target, stop, **limits
        )
    engine = open_engine(Target(url, clone=config))
    clone = engine.clone
    assert not isinstance(clone, Unsupported)
    clone.create(owner="run 1", expires_seconds=3600, bytes_max=10**9)


main()
