"""Sizes and lengths of time as people say them."""

from __future__ import annotations


def size(count: float) -> str:
    """Return bytes in the unit that leaves three digits: `12.3 MB` (powers of 1000)."""
    for unit, power in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= power:
            return f"{count / power:.3g} {unit}"
    return f"{count:.0f} bytes"


def span(seconds: float) -> str:
    """Return a length of time in one unit: `12 s`, `3 min`, `5 h`, `4 days`."""
    for unit, length in (("days", 86_400.0), ("h", 3_600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.3g} s"


def listed(names: list[str], *, most: int = 5) -> str:
    """Return names with commas; those past the first few are counted."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
