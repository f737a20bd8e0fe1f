"""Splits SQL text into tokens, well enough to find parameters, literals and statement ends.

It knows quotes, dollar quotes, comments (nested on PostgreSQL), numbers and names of both engines.
It never judges whether the text is correct; the database does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

STRING = "string"  # 'x', E'x', X'00', $$x$$, $tag$x$tag$
NAME = "name"  # word or "quoted"
NUMBER = "number"
PARAMETER = "parameter"  # :name
COMMENT = "comment"
SPACE = "space"
OTHER = "other"  # one operator or punctuation character, or ::

_NAME_START = "A-Za-z_\x80-\U0010ffff"
_NAME_PART = _NAME_START + "0-9$"
_TOKEN = re.compile(
    rf"""
      (?P<space>\s+)
    | (?P<escaped>[eE]'(?:[^'\\]|\\.|'')*(?:'|\\?\Z))
    | (?P<string>(?:[xXbBnN]|[uU]&)?'[^']*(?:''[^']*)*(?:'|\Z))
    | (?P<name>[{_NAME_START}][{_NAME_PART}]*|"[^"]*(?:""[^"]*)*(?:"|\Z)|`[^`]*(?:`|\Z))
    | (?P<number>0[xX][0-9a-fA-F_]+|(?:[0-9][0-9_]*(?:\.(?!\.)[0-9_]*)?|\.[0-9][0-9_]*)
        (?:[eE][+-]?[0-9]+)?)
    | (?P<dollar>\$(?:[{_NAME_START}][{_NAME_START}0-9]*)?\$)
    | (?P<positional>\$[0-9]+|\?[0-9]*)
    | (?P<comment>--[^\n]*)
    | (?P<block>/\*)
    | (?P<cast>::|:=)
    | (?P<parameter>:[A-Za-z_][A-Za-z0-9_]*)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK_EDGE = re.compile(r"/\*|\*/")


class Token(NamedTuple):
    """A piece of the text; the pieces joined are the text."""

    kind: str
    text: str


def _comment_end(sql: str, start: int) -> int:
    """Return where the block comment that begins at `start` ends, inner ones counted."""
    depth = 0
    for edge in _BLOCK_EDGE.finditer(sql, start):
        depth += 1 if edge.group() == "/*" else -1
        if depth == 0:
            return edge.end()
    return len(sql)


_KINDS = {
    "escaped": STRING, "string": STRING, "name": NAME, "number": NUMBER, "space": SPACE,
    "comment": COMMENT, "parameter": PARAMETER, "positional": OTHER, "cast": OTHER, "other": OTHER,
}  # fmt: skip


def tokens(sql: str) -> Iterator[Token]:
    """Yield the tokens of the text, none left out; what is not closed runs to the end."""
    position = 0
    while position < len(sql):
        match = _TOKEN.match(sql, position)
        if match is None:  # the last alternative takes any character
            return
        group, end = match.lastgroup or "other", match.end()
        if group == "block":
            end = _comment_end(sql, position)
            kind = COMMENT
        elif group == "dollar":
            found = sql.find(match.group(), end)
            end = len(sql) if found < 0 else found + len(match.group())
            kind = STRING
        else:
            kind = _KINDS[group]
        yield Token(kind, sql[position:end])
        position = end


def comment(text: str) -> str:
    """Return a text as one line of SQL comment: a line break in a name must not end it."""
    return "-- " + " ".join(text.splitlines())


def quoted(name: str) -> str:
    """Return a name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
