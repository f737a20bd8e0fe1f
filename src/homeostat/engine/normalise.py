"""One text and one key for a statement, however its values are written.

`:name`, `?`, `$1` and literals become `?`, words not in quotes become lower case, space and
comments go. So the SQL of an operation and what pg_stat_statements shows of it get the same key.
It judges no text, asks no database, and keeps no value.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import lru_cache

from homeostat.driver.placeholders import compile_named
from homeostat.driver.tokens import COMMENT, NAME, NUMBER, SPACE, STRING, tokens

PLACEHOLDER = "?"
KEY_DIGITS = 16
CACHED_MAX = 2_048

_OPERATOR = frozenset("<>=!|&+-*/%^~@#")
_OPERATOR_ODD = frozenset("~!@#%^&|")  # PostgreSQL: only with these may an operator end in + or -
_TIGHT_BEFORE = frozenset({",", ")", ".", "::", "[", "]"})
_TIGHT_AFTER = frozenset({"(", ".", "::", "["})
_VALUES = frozenset({"null", "true", "false"})
# words after which a parenthesis is no call, and a minus or plus is a sign
_WORDS = frozenset({
    "all", "and", "any", "as", "between", "by", "case", "distinct", "else", "except", "exists",
    "filter", "from", "having", "if", "in", "insert", "intersect", "into", "is", "join", "like",
    "ilike", "limit", "not", "offset", "on", "or", "over", "returning", "select", "set", "then",
    "union", "using", "values", "when", "where", "with", "within",
})  # fmt: skip


@lru_cache(maxsize=CACHED_MAX)
def normalise(sql: str) -> str:
    """Return the statement's one text; doing it twice changes nothing more.

    A list of placeholders after IN becomes one, since PostgreSQL 18 does so too and the number of
    them is a value. NULL, TRUE and FALSE are values unless they follow IS or NOT.
    """
    text = compile_named(sql).text.decode()
    return _joined(_lists(_signs(_operators(_pieces(text)))))


@lru_cache(maxsize=CACHED_MAX)
def statement_key(sql: str) -> str:
    """Return 16 hex digits, equal for the same normalised text."""
    return hashlib.sha256(normalise(sql).encode()).hexdigest()[:KEY_DIGITS]


def _pieces(sql: str) -> Iterator[str]:
    """Yield the meaningful tokens, values as placeholders; an empty piece stands for space."""
    before = ""
    for kind, text in tokens(sql):
        if kind in {SPACE, COMMENT}:
            yield ""
            continue
        piece = text
        if kind in {STRING, NUMBER} or (text[0] in "?$" and text[1:].isdecimal()) or text == "?":
            piece = PLACEHOLDER
        elif kind == NAME and text[0] not in '"`':
            piece = text.lower()
            if before in {"@", "$"}:  # SQLite's @name and $name: one piece with what stands before
                piece = "\0"
            elif piece in _VALUES and before not in {"is", "not"}:
                piece = PLACEHOLDER
        before = piece
        yield piece


def _operators(pieces: Iterable[str]) -> list[str]:
    """Join the characters of one operator; drop space and semicolons."""
    out: list[str] = []
    apart = True
    for piece in pieces:
        if piece in {"", ";"}:
            apart = True
            continue
        last = out[-1] if out else ""
        if piece == "\0":
            out[-1] = PLACEHOLDER
        elif (
            not apart
            and piece in _OPERATOR
            and last
            and _OPERATOR.issuperset(last)
            and (piece not in "+-" or _OPERATOR_ODD & set(last))
        ):
            out[-1] += piece
        else:
            out.append(piece)
        apart = False
    return out


def _signs(pieces: list[str]) -> list[str]:
    """Drop the sign before a value: the server takes it for a part of the value."""
    out: list[str] = []
    for place, piece in enumerate(pieces):
        before = out[-1] if out else "("
        is_sign = piece in {"-", "+"} and pieces[place + 1 : place + 2] == [PLACEHOLDER]
        if is_sign and (before in _WORDS or before in {"(", ",", "["} or before[0] in _OPERATOR):
            continue
        out.append(piece)
    return out


def _lists(pieces: list[str]) -> list[str]:
    """Make `in (?, ?, ?)` one placeholder."""
    out: list[str] = []
    place = 0
    while place < len(pieces):
        out.append(pieces[place])
        place += 1
        if out[-1] != "in" or pieces[place : place + 2] != ["(", PLACEHOLDER]:
            continue
        end = place + 2
        while pieces[end : end + 2] == [",", PLACEHOLDER]:
            end += 2
        if pieces[end : end + 1] == [")"]:
            out += ["(", PLACEHOLDER, ")"]
            place = end + 1
    return out


def _joined(pieces: list[str]) -> str:
    out: list[str] = []
    for piece in pieces:
        before = out[-1] if out else "("
        is_name = before[-1].isalnum() or before[-1] in '_"`'
        call = piece == "(" and is_name and before not in _WORDS
        if not (piece in _TIGHT_BEFORE or before in _TIGHT_AFTER or call):
            out.append(" ")
        out.append(piece)
    return "".join(out).strip()
