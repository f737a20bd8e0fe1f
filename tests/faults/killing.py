"""What the enumerations of kills share: who dies, who follows, at which points, and how it ended.

A remedy is run whole once, which tells its commits; then once more for each of them, killed there,
with a successor that ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from homeostat.clock import SystemClock
from homeostat.logbook import Logbook
from homeostat.logbook.rows import RemedyRecord
from homeostat.operate.choose import UNDER_WAY
from tests.faults.processes import running
from tests.servers import wait_until

SECONDS = 60.0
PLAYS_MAX = 3
UNJUDGED = frozenset({"refused", "failed"})
ENDS = UNJUDGED | {"kept", "ineffective", "reverted"}
Point = tuple[str, int]  # `before` or `after`, and the number of the commit


@contextmanager
def logbook(data: Path) -> Iterator[Logbook]:
    """Read the logbook of whoever runs on a data directory."""
    book = Logbook.open(data / "logbook.db", clock=SystemClock(), readonly=True)
    try:
        yield book
    finally:
        book.close()


def last(data: Path, key: str) -> RemedyRecord | None:
    """Return the last remedy of a kind; None while there is none."""
    if not (data / "operator.json").exists():
        return None
    with logbook(data) as book:
        return next((one for one in reversed(book.remedies()) if one.key == key), None)


def ended(data: Path, key: str) -> RemedyRecord | None:
    """Return the last remedy of a kind when it is over."""
    found = last(data, key)
    return found if found is not None and found.state not in UNDER_WAY else None


def end_of(data: Path, key: str, *, seconds: float = SECONDS) -> RemedyRecord:
    """Wait for the end of a remedy and return it."""
    what = "the end of the remedy"
    wait_until(lambda: ended(data, key), seconds, what, every_seconds=0.1)
    found = ended(data, key)
    assert found is not None
    return found


@contextmanager
def operated(
    module: str,
    *arguments: str,
    kill: tuple[str, ...] = (),
    seconds: float = SECONDS,
    over: Callable[[], object] = lambda: False,
) -> Iterator[bool]:
    """Run an operator until the end of the block; with `kill` one that died, and its successor.

    Yields whether it died: where `over` is true before, its remedy ended in fewer commits.
    """
    with ExitStack() as stack:
        victim = stack.enter_context(running(module, *arguments, *kill))
        if kill:
            what = "it to reach the point it was to die at"
            wait_until(lambda: not victim.alive or over(), seconds, what)
            if not victim.alive:
                assert victim.wait(seconds) == -9
                stack.enter_context(running(module, *arguments)).ready()
        yield bool(kill) and not victim.alive


def commits(data: Path, parts: frozenset[str] = frozenset()) -> list[int]:
    """Return the numbers of the commits that were noted, or of those that saved a part."""
    lines = [line.split() for line in (data / "commits").read_text().splitlines()]
    return [int(words[0]) for words in lines if not parts or parts & set(words[1:])]


def around(numbers: Sequence[int]) -> list[Point]:
    """Return the points before and after each commit."""
    return [(when, number) for number in numbers for when in ("before", "after")]


def until_judged(play: Callable[[Path], RemedyRecord], data: Path) -> RemedyRecord:
    """Play, and again where it ended without a verdict on the change; return how it ended.

    On a busy machine the trouble can seem over before the change, or the change can be seen too
    late: ends that are right, but tell nothing of what comes after them.
    """
    for number in range(PLAYS_MAX):
        record = play(data.with_name(f"{data.name}-{number}"))
        if record.state not in UNJUDGED:
            return record
    raise AssertionError(record.verdict)


def at_each(points: Sequence[Point], play: Callable[[str, int], object], *, at_once: int) -> None:
    """Play each point, so many at once: most of a play is waiting for windows."""
    with ThreadPoolExecutor(at_once) as executor:
        for one in [executor.submit(play, *point) for point in points]:
            one.result()


def judged_at_each(
    points: Sequence[Point],
    play: Callable[[Path, Point], RemedyRecord],
    directory: Path,
    *,
    at_once: int,
) -> None:
    """Play each point until its change was judged; how it ends hangs on the clock."""

    def killed(when: str, number: int) -> None:
        until_judged(lambda data: play(data, (when, number)), directory / f"{when}-{number}")

    at_each(points, killed, at_once=at_once)


def words_of(point: Point) -> tuple[str, str]:
    """Return a point as a victim takes it."""
    return point[0], str(point[1])
