"""Words, numbers, times and colours for a terminal.

Texts that come from a database or an application may hold anything, so every one is cleaned of
control characters before it is shown.
"""

from __future__ import annotations

import os
import sys
import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

WIDTH_MIN = 40
_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


def clean(text: str) -> str:
    """Return the text as one line, its control characters made visible instead of obeyed."""
    joined = " ".join(text.split())
    if joined.isprintable():
        return joined
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in joined)


@dataclass(frozen=True, slots=True)
class Screen:
    """Where to write: how wide it is, whether it takes colours, and what time it is.

    Attributes:
        width: columns; None: not a terminal, so nothing is shortened.
        colours: whether escape sequences are understood and wanted.
        now: seconds since 1970 UTC, for "how long ago".
    """

    width: int | None
    colours: bool
    now: float

    @classmethod
    def of(cls, stream: TextIO) -> Screen:
        """Describe a stream; NO_COLOR (https://no-color.org) and TERM=dumb turn colours off."""
        terminal = stream.isatty()
        colours = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        width = max(WIDTH_MIN, _columns(stream)) if terminal else None
        return cls(width=width, colours=colours, now=time.time())

    def paint(self, text: str, colour: str) -> str:
        """Return the text in a colour, where colours are wanted."""
        if not self.colours or not colour or not text:
            return text
        return f"\x1b[{_CODES[colour]}m{text}\x1b[0m"

    def fit(self, text: str, *, taken: int = 0) -> str:
        """Return the text cleaned, and shortened to what is left of a line."""
        return shorten(text, None if self.width is None else self.width - taken)

    def wrap(self, text: str, *, indent: int = 0, hanging: int | None = None) -> list[str]:
        """Return the text cleaned, on as many lines as it takes; one where nothing is shortened.

        Args:
            text: any.
            indent: spaces before it.
            hanging: spaces before its second and later lines; None: as before the first.
        """
        before, after = " " * indent, " " * (indent if hanging is None else hanging)
        if self.width is None:
            return [before + clean(text)]
        return textwrap.wrap(
            clean(text),
            max(self.width, WIDTH_MIN),
            initial_indent=before,
            subsequent_indent=after,
            break_on_hyphens=False,
        )

    def when(self, at: float) -> str:
        """Return a time as local time and how long ago: `14:03:11 (3 min ago)`."""
        then, today = time.localtime(at), time.localtime(self.now)
        same_day = then[:3] == today[:3]
        stamp = time.strftime("%H:%M:%S" if same_day else "%Y-%m-%d %H:%M", then)
        return f"{stamp} ({self.ago(at)})"

    def ago(self, at: float) -> str:
        """Return how long ago a time is: `3 min ago`."""
        seconds = self.now - at
        if seconds < -1:
            return f"in {duration(-seconds)}"
        return f"{duration(max(0.0, seconds))} ago"


def _columns(stream: TextIO) -> int:
    """Return the columns of a terminal; COLUMNS, where set, overrides (POSIX)."""
    given = os.environ.get("COLUMNS", "")
    if given.isdigit() and int(given):
        return int(given)
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return 80


def emit(lines: Sequence[str]) -> None:
    """Write lines to stdout at once, so that a reader who went away is noticed here."""
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def shorten(text: str, width: int | None) -> str:
    """Return the cleaned text, cut to a width with `...` at the end."""
    line = clean(text)
    if width is None or len(line) <= width:
        return line
    return line[: max(0, width - 3)].rstrip() + "..."


def duration(seconds: float) -> str:
    """Return a length of time in one unit: `12 s`, `3 min`, `5 h`, `4 d`."""
    for size, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size or (unit == "min" and seconds >= 90):
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def number(value: float) -> str:
    """Return a number with three digits that count: `0.42`, `12.3`, `1,234`; whole ones whole."""
    if abs(value) >= 100 or float(value).is_integer():
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.3g}"


def counted(count: int, noun: str) -> str:
    """Return `1 finding`, `2 findings`."""
    return f"{count} {noun}" + ("" if count == 1 else "s")


def table(rows: Sequence[Sequence[str]], screen: Screen) -> list[str]:
    """Return rows as aligned columns; the last one takes what is left of the line."""
    cleaned = [[clean(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in cleaned) for i in range(len(cleaned[0]) - 1)]
    taken = sum(widths) + 2 * len(widths)
    lines = []
    for row in cleaned:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append("  ".join([*cells, screen.fit(row[-1], taken=taken)]).rstrip())
    return lines
