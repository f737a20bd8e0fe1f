"""Takes the values out of statements and error texts before they are kept or shown.

Names stay, since they say what was done; a literal becomes `?`. What cannot be told apart counts
as a value. Text in double quotes counts as a name in statements (SQLite also reads it as a string
when no such column exists; such statements should use single quotes).
"""

from __future__ import annotations

import re

from homeostat.driver.tokens import COMMENT, NAME, NUMBER, SPACE, STRING, tokens

VALUE = "?"

# the words after which PostgreSQL and SQLite put the name of an object, not a value, in quotes
_OBJECTS = (
    "aggregate|cast|collation|column|constraint|conversion|cursor|database|domain|extension"
    "|function|index|language|operator|parameter|policy|portal|procedure|publication|relation"
    "|role|routine|rule|savepoint|schema|sequence|server|slot|statement|subscription|table"
    "|tablespace|trigger|type|user|view"
)
_QUOTED = re.compile(rf'(?P<object>\b(?:{_OBJECTS})\s+)?"(?P<text>(?:[^"]|"")*)(?:"|\Z)')
_NEAR = re.compile(r'\bnear "(?P<word>[A-Za-z_]+|[^\w\s\'"]{1,2})"')
_KEY = re.compile(r"=\s*\((?:[^()]|\([^()]*\))*\)?")
_SINGLE = re.compile(r"'[^']*(?:''[^']*)*(?:'|\Z)")
_MARK = re.compile(r"\0([0-9]+)\0")
_MARKED = re.compile(r"\0[0-9]+\0|[^\0]+")
_DIGITS = re.compile(r"(?<![\w$?])[0-9][0-9.,:\-]*(?!\w)")


def redact(sql: str) -> str:
    """Return the statement with each literal replaced by `?` and comments dropped.

    Doing it twice changes nothing more.
    """
    out: list[str] = []
    for kind, text in tokens(sql):
        if kind in {STRING, NUMBER}:
            if out and out[-1].endswith(VALUE):
                out.append(" ")
            out.append(VALUE)
        elif kind in {COMMENT, SPACE}:
            if out and out[-1] != " ":
                out.append(" ")
        elif kind == NAME and out and out[-1] == VALUE:
            out.append(f" {text}")  # 1e or 0xyz: keep the value apart from what follows
        else:
            out.append(text)
    return "".join(out).strip()


def redact_message(message: str) -> str:
    """Return an error text of the database without values: only names of objects stay quoted.

    Values stand in quotes, after `=` in parentheses, or as bare numbers.
    """
    kept: list[str] = []

    def keep(text: str) -> str:
        kept.append(text)
        return f"\0{len(kept) - 1}\0"

    def quoted(match: re.Match[str]) -> str:
        return keep(match.group()) if match.group("object") else f'"{VALUE}"'

    text = message.replace("\0", "")
    text = _KEY.sub(f"=({VALUE})", text)
    text = _NEAR.sub(lambda match: keep(match.group()), text)
    text = _QUOTED.sub(quoted, text)
    text = _SINGLE.sub(f"'{VALUE}'", text)
    text = _MARKED.sub(lambda m: _numbers_out(m.group()), text)
    while "\0" in text:  # a kept name may hold another
        text = _MARK.sub(lambda match: kept[int(match.group(1))], text)
    return text


def _numbers_out(text: str) -> str:
    return text if text.startswith("\0") else _DIGITS.sub(VALUE, text)
