"""Somebody else's program: writes a row at a time into a WAL database with the standard library.

    python tests/faults/writer.py FILE

Each number is printed once its row is committed; it ends with its standard input.
"""

import itertools
import sqlite3  # noqa: TID251  # another program, in a process of its own
import sys
import threading


def main() -> None:
    connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS row (number INTEGER PRIMARY KEY)")
    stop = threading.Event()

    def watch() -> None:
        sys.stdin.read()
        stop.set()

    threading.Thread(target=watch, daemon=True).start()
    for number in itertools.count():
        if stop.is_set():
            break
        connection.execute("INSERT INTO row VALUES (?)", (number,))
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


main()
