"""An application that writes through the data path and tells of each write once it is committed.

python -m tests.faults.acknowledging URL
"""

from __future__ import annotations

import itertools
import sys

from homeostat.access import Database
from tests.faults.writers import OPERATIONS


def main() -> None:
    with Database.open(sys.argv[1], pool=1, agent=None, operations=OPERATIONS) as database:
        sys.stdout.write("ready\n")
        for number in itertools.count():
            database.execute("note.add", {"text": str(number)})
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
