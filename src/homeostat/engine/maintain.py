"""What upkeep of both engines has in common: index definitions taken apart and compared."""

from __future__ import annotations

from dataclasses import dataclass

from homeostat.driver.tokens import COMMENT, NAME, SPACE, quoted, tokens
from homeostat.driver.wire import Wire
from homeostat.engine.facets import IndexInfo, IndexSpec, Maintain
from homeostat.errors import ConfigError, DatabaseError


@dataclass(frozen=True, slots=True)
class IndexTrial:
    """What building an index on a clone showed.

    Attributes:
        seconds: how long it took; on SQLite that is how long writers would wait.
        bytes: how large it became.
    """

    seconds: float
    bytes: float


def try_index(maintain: Maintain, spec: IndexSpec, *, wire: Wire, deadline_ms: float) -> IndexTrial:
    """Build an index on a clone and leave it there; return what it takes.

    Args:
        maintain: the facet of the database that was cloned.
        spec: the index.
        wire: leads to the clone.
        deadline_ms: give up after so long.

    Raises:
        DatabaseError: it was not built.
    """
    seconds = maintain.create_index(spec, wire=wire, deadline_ms=deadline_ms)
    if wire.dialect == "sqlite":
        asked, params = "SELECT sum(pgsize) FROM dbstat WHERE name = :name", {"name": spec.name}
    else:
        asked = "SELECT pg_relation_size(to_regclass(:name)::oid)"
        params = {"name": f"{quoted(spec.schema or 'public')}.{quoted(spec.name)}"}
    size = wire.execute(asked, params).scalar()
    return IndexTrial(seconds, float(size) if isinstance(size, int | float) else 0.0)


def definition_of(spec: IndexSpec, *, target: str, how: str = "") -> str:
    """Return the statement that builds an index.

    Args:
        spec: the index; its condition is SQL that must be one expression.
        target: the table, quoted, with its schema where there is one.
        how: a word after INDEX, such as CONCURRENTLY.

    Raises:
        ConfigError: the index has no columns, or its condition is more than one expression.
    """
    if not spec.columns or not spec.name:
        raise ConfigError("An index needs a name and at least one column. Give both.")
    columns = ", ".join(quoted(column) for column in spec.columns)
    unique = "UNIQUE " if spec.unique else ""
    middle = f"{how} " if how else ""
    text = f"CREATE {unique}INDEX {middle}{quoted(spec.name)} ON {target} ({columns})"
    if spec.where is None:
        return text
    depth = 0
    for token in tokens(spec.where):
        depth += (token.text == "(") - (token.text == ")")
        if token.text == ";" or depth < 0:
            raise ConfigError("The condition of an index is one expression. Correct it.")
    return f"{text} WHERE {spec.where}"


def same_index(info: IndexInfo, spec: IndexSpec) -> bool:
    """Return whether an index that is there is the one that is wanted."""
    if (info.table, info.columns, info.unique) != (spec.table, spec.columns, spec.unique):
        return False
    return _condition(info.where) == _condition(spec.where)


def refuse_other(info: IndexInfo, spec: IndexSpec, *, where: str) -> None:
    """Raise unless the index of this name is the one that is wanted.

    Raises:
        DatabaseError: another index has the name.
    """
    if not same_index(info, spec):
        message = "Another index has this name already. Give the new one another name."
        raise DatabaseError(message, where=where, detail=spec.name)


def parts_of(definition: str) -> tuple[tuple[str, ...], str | None]:
    """Return the columns or expressions of a CREATE INDEX statement, and its condition."""
    depth = 0
    parts: list[str] = []
    current: list[str] = []
    rest: list[str] | None = None
    for token in tokens(definition):
        text = " " if token.kind in {SPACE, COMMENT} else token.text
        if rest is not None:
            rest.append(text)
            continue
        closing = text == ")"
        depth -= closing
        if depth > 0 and not (depth == 1 and text == ","):
            current.append(text)
        elif depth == 1 or (closing and depth == 0):
            parts.append("".join(current).strip())
            current = []
            rest = [] if closing else None
        depth += text == "("
    condition = "".join(rest or []).strip()
    is_partial = condition[:5].lower() == "where"
    return tuple(_plain(part) for part in parts), condition[5:].strip() if is_partial else None


def _plain(part: str) -> str:
    found = list(tokens(part))
    if len(found) == 1 and found[0].kind == NAME and part[0] in '"`':
        return part[1:-1].replace(part[0] * 2, part[0])
    return part


def _condition(where: str | None) -> str:
    """Return a condition in one spelling: the server adds casts and parentheses to what was given.

    Values stay: they matter here.
    """
    words = [token for token in tokens(where or "") if token.kind not in {SPACE, COMMENT}]
    out = []
    cast = False
    for token in words:
        if token.text == "::":
            cast = True
        elif cast and token.kind == NAME:
            cast = False
        elif token.text not in {"(", ")"}:
            quote = token.text[0] in "'\"`"
            out.append(token.text if quote else token.text.lower())
    return " ".join(out)
