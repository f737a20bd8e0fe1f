"""What upkeep of both engines has in common: index definitions taken apart and compared."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from homeostat.driver.tokens import COMMENT, NAME, SPACE, quoted, tokens
from homeostat.driver.wire import Wire
from homeostat.engine.facets import IndexInfo, IndexSpec, Maintain, PlanNode
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
        asked = (  # that of a table in parts is as large as those of its parts
            "SELECT coalesce((SELECT sum(pg_relation_size(relid)) FROM pg_partition_tree(r)), "
            "pg_relation_size(r::oid))::int8 FROM to_regclass(:name) r"
        )
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
        ConfigError: the index has no columns, or its condition or one of its columns is more than
            one expression.
    """
    if not spec.columns or not spec.name:
        raise ConfigError("An index needs a name and at least one column. Give both.")
    for expression in spec.expressions:
        _refuse_several(expression)
    columns = ", ".join(
        f"({column})" if column in spec.expressions else quoted(column) for column in spec.columns
    )
    columns = f"{columns} {spec.ordering}".rstrip()
    unique = "UNIQUE " if spec.unique else ""
    middle = f"{how} " if how else ""
    text = f"CREATE {unique}INDEX {middle}{quoted(spec.name)} ON {target} ({columns})"
    if spec.where is None:
        return text
    _refuse_several(spec.where)
    return f"{text} WHERE {spec.where}"


def _refuse_several(expression: str) -> None:
    depth = 0
    for token in tokens(expression):
        depth += (token.text == "(") - (token.text == ")")
        if token.text == ";" or depth < 0:
            message = "The condition or column of an index is one expression. Correct it."
            raise ConfigError(message)


PART_NAME_CHARACTERS = 50  # of 63, with the digits that tell the parts of a whole apart


def part_name(whole: str, place: str) -> str:
    """Return what the index of a part of a table is called; parts of parts are parts of the whole.

    Args:
        whole: the name of the index of the whole table.
        place: schema and name of the part.
    """
    digits = hashlib.sha256(f"{whole} {place}".encode()).hexdigest()[:8]
    return f"{whole[:PART_NAME_CHARACTERS]}_{digits}"


def takes(node: PlanNode, spec: IndexSpec, *, relation: str = "") -> bool:
    """Return whether a plan takes an index that was built here, of the whole table or of a part.

    Args:
        node: the plan's first step.
        spec: the index.
        relation: what the step above reads, where this one does not say (bitmap scans).
    """
    place = node.relation or relation
    full = place if "." in place else f"public.{place}"
    if node.index is not None and node.index in {spec.name, part_name(spec.name, full)}:
        return True
    return any(takes(child, spec, relation=place) for child in node.children)


def same_index(info: IndexInfo, spec: IndexSpec) -> bool:
    """Return whether an index that is there is the one that is wanted.

    Expressions are not compared: each engine writes them in its own way.
    """
    if (info.table, info.unique) != (spec.table, spec.unique):
        return False
    if len(info.columns) != len(spec.columns):
        return False
    for there, wanted in zip(info.columns, spec.columns, strict=True):
        if wanted not in spec.expressions and there != wanted:
            return False
    return plain_expression(info.where) == plain_expression(spec.where)


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


def plain_expression(text: str | None) -> str:
    """Return an expression in one spelling: servers add casts and parentheses to what was given.

    Values stay: they matter here.
    """
    words = [token for token in tokens(text or "") if token.kind not in {SPACE, COMMENT}]
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
