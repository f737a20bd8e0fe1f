"""Rewrites `:name` parameters to the `$1` that PostgreSQL's protocol takes.

Quotes, dollar quotes, comments, `::casts` and array slices are left alone, and `%` has no meaning.
It never puts a value into the text.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from homeostat.driver.tokens import COMMENT, NAME, NUMBER, PARAMETER, SPACE, Token, tokens

CACHED_STATEMENTS_MAX = 2_048

_ATOMIC_BODY = re.compile(r"\bBEGIN\s+ATOMIC\b", re.IGNORECASE)


class Compiled(NamedTuple):
    """A statement for the wire.

    Attributes:
        text: the statement with `$1`, `$2`, ...
        names: the parameter's name for each of them, in order.
        several: whether more than one statement stands in the text.
    """

    text: bytes
    names: tuple[str, ...]
    several: bool


def _is_slice(before: Token | None, depth: int) -> bool:
    """Return whether a colon after `before` separates the bounds of an array slice."""
    if depth == 0 or before is None:
        return False
    return before.kind in {NAME, NUMBER, PARAMETER} or before.text in {"]", ")"}


@lru_cache(maxsize=CACHED_STATEMENTS_MAX)
def compile_named(sql: str) -> Compiled:
    """Return the statement with numbered parameters; one name has one number."""
    numbers: dict[str, int] = {}
    out: list[str] = []
    before: Token | None = None
    depth = 0
    ended = several = False
    for token in tokens(sql):
        kind, text = token
        if kind == PARAMETER and not _is_slice(before, depth):
            out.append(f"${numbers.setdefault(text[1:], len(numbers) + 1)}")
        else:
            out.append(text)
        depth += (text == "[") - (text == "]")
        if kind not in {SPACE, COMMENT}:
            before = token
            several = several or (ended and text != ";")
            ended = ended or text == ";"
        elif kind == SPACE:
            before = None if depth and before and before.text == ":" else before
    text = "".join(out)
    if several and _ATOMIC_BODY.search(text):
        several = False  # the body of a function in the SQL standard's form holds semicolons
    return Compiled(text.encode(), tuple(numbers), several)
