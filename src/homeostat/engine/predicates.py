"""What a statement asks of each table: equalities, ranges, joins and order, from its text.

The text is parsed, never run. What cannot be parsed, or hides a column in an expression, yields
nothing: an index that serves no plain predicate is not ours to propose.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlglot import ErrorLevel, exp, parse_one
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.scope import Scope, traverse_scope

from homeostat.engine.facets import TableInfo

_READ = {"sqlite": "sqlite", "postgresql": "postgres"}
_FLIPPED: dict[type[exp.Expr], type[exp.Expr]] = {
    exp.GT: exp.LT,
    exp.LT: exp.GT,
    exp.GTE: exp.LTE,
    exp.LTE: exp.GTE,
    exp.EQ: exp.EQ,
}
logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it warns of what it leaves alone


@dataclass(slots=True)
class Asked:
    """What one occurrence of a table in a statement is asked for.

    Attributes:
        table: its name.
        equal: columns compared with values by `=` or IN, in the order of the text.
        joined: columns compared with columns of other tables.
        ranged: columns compared by <, >, BETWEEN.
        order: columns of ORDER BY, if all are of this table and go one way.
        fixed: conditions with constants in the text, which a partial index may take over.
        conditions: the value predicates as SQL, `:name` parameters in them; for counting.
        limited: whether the part of the statement around it has a LIMIT.
    """

    table: str
    schema: str = ""
    equal: list[str] = field(default_factory=list)
    joined: list[str] = field(default_factory=list)
    ranged: list[str] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    fixed: dict[str, str] = field(default_factory=dict)
    conditions: list[str] = field(default_factory=list)
    limited: bool = False


def parsed(sql: str, dialect: str) -> exp.Expr | None:
    """Return the statement's tree, or None when it cannot be parsed."""
    try:
        tree = parse_one(sql, read=_READ[dialect], error_level=ErrorLevel.RAISE)
    except (SqlglotError, RecursionError, ValueError):
        return None
    return tree if isinstance(tree, exp.Expr) else None


def asked(sql: str, dialect: str, tables: Sequence[TableInfo]) -> list[Asked]:
    """Return what a statement asks of each table that it names, in the order of the text."""
    tree = parsed(sql, dialect)
    if tree is None:
        return []
    known = {table.name.lower(): table for table in tables}
    if isinstance(tree, exp.Update | exp.Delete):
        return _of_change(tree, dialect, known)
    if isinstance(tree, exp.Insert):
        tree = tree.expression if isinstance(tree.expression, exp.Query) else None
    if tree is None or not isinstance(tree, exp.Query):
        return []
    try:
        scopes = traverse_scope(tree)
    except SqlglotError:
        return []
    found: list[Asked] = []
    for scope in scopes:
        if isinstance(scope.expression, exp.Select):
            found += _of_scope(scope, dialect, known)
    return found


def is_pure_read(sql: str, dialect: str) -> bool:
    """Return whether a statement is one SELECT that calls no function unknown to the parser."""
    tree = parsed(sql, dialect)
    if not isinstance(tree, exp.Query) or tree.find(exp.Into, exp.Lock):
        return False
    changing = (exp.Insert, exp.Update, exp.Delete, exp.Anonymous)
    return tree.find(*changing) is None


def tables_of(sql: str, dialect: str) -> frozenset[str]:
    """Return the names, in lower case, of the tables that a statement reads or changes."""
    tree = parsed(sql, dialect)
    found = tree.find_all(exp.Table) if tree is not None else ()
    return frozenset(table.name.lower() for table in found)


def inserted_values(sql: str, dialect: str) -> tuple[str, dict[str, str]]:
    """Return the table and the value of each column (SQL) of an INSERT of one row of values."""
    tree = parsed(sql, dialect)
    if not isinstance(tree, exp.Insert) or not isinstance(tree.this, exp.Schema):
        return "", {}
    rows = tree.expression.expressions if isinstance(tree.expression, exp.Values) else []
    if len(rows) != 1 or not isinstance(rows[0], exp.Tuple):
        return "", {}
    columns = [one.name for one in tree.this.expressions]
    values = [_sql(one, dialect) for one in rows[0].expressions]
    if len(columns) != len(values):
        return "", {}
    return tree.this.this.name, dict(zip(columns, values, strict=True))


def order_of(sql: str, dialect: str) -> tuple[list[str], bool]:
    """Return the outermost ORDER BY's columns as they are called in the result, and if LIMITed."""
    tree = parsed(sql, dialect)
    if not isinstance(tree, exp.Query):
        return [], False
    order = tree.args.get("order")
    names = []
    for one in order.expressions if order else []:
        target = one.this
        names.append(target.name if isinstance(target, exp.Column) else "")
    return names, tree.args.get("limit") is not None


class _Sources:
    """The tables of a scope by alias, and which of them has a column."""

    def __init__(self, tables: Mapping[str, exp.Table], known: Mapping[str, TableInfo]) -> None:
        self.asked: dict[str, Asked] = {}
        self._columns: dict[str, dict[str, str]] = {}
        for alias, table in tables.items():
            info = known.get(table.name.lower())
            if info is not None:
                self.asked[alias] = Asked(info.name, info.schema)
                self._columns[alias] = {c.name.lower(): c.name for c in info.columns}

    def of(self, column: exp.Expr) -> tuple[str, str] | None:
        """Return the alias and the column's name, or None when it is not one of a table here."""
        if not isinstance(column, exp.Column):
            return None
        name = column.name.lower()
        if column.table:
            for alias, columns in self._columns.items():
                if alias.lower() == column.table.lower() and name in columns:
                    return alias, columns[name]
            return None
        owners = [alias for alias, columns in self._columns.items() if name in columns]
        return (owners[0], self._columns[owners[0]][name]) if len(owners) == 1 else None


def _of_change(
    tree: exp.Update | exp.Delete, dialect: str, known: Mapping[str, TableInfo]
) -> list[Asked]:
    target = tree.this
    if not isinstance(target, exp.Table):
        return []
    sources = _Sources({target.alias_or_name: target}, known)
    where = tree.args.get("where")
    if where is not None:
        for condition in _conjuncts(where.this):
            _note(condition, sources, dialect)
    return list(sources.asked.values())


def _of_scope(scope: Scope, dialect: str, known: Mapping[str, TableInfo]) -> list[Asked]:
    select = scope.expression
    tables = {a: s for a, s in scope.sources.items() if isinstance(s, exp.Table)}
    own = {a: t for a, t in tables.items() if a in scope.selected_sources}
    sources = _Sources(own, known)
    conditions = [select.args["where"].this] if select.args.get("where") else []
    conditions += [
        join.args["on"] for join in select.args.get("joins") or [] if join.args.get("on")
    ]
    for whole in conditions:
        for condition in _conjuncts(whole):
            _note(condition, sources, dialect)
    for one in sources.asked.values():
        one.limited = select.args.get("limit") is not None
    _note_order(select, sources)
    return list(sources.asked.values())


def _conjuncts(condition: exp.Expr) -> Iterator[exp.Expr]:
    condition = condition.unnest()
    if isinstance(condition, exp.And):
        yield from _conjuncts(condition.left)
        yield from _conjuncts(condition.right)
    else:
        yield condition


def _note(condition: exp.Expr, sources: _Sources, dialect: str) -> None:
    """Take one condition that has to hold."""
    if isinstance(condition, exp.EQ | exp.GT | exp.GTE | exp.LT | exp.LTE):
        _note_comparison(condition, sources, dialect)
        return
    owner = sources.of(condition.this) if isinstance(condition.this, exp.Expr) else None
    if owner is None:
        _note_bare(condition, sources, dialect)
        return
    alias, name = owner
    one = sources.asked[alias]
    if isinstance(condition, exp.In) and not condition.args.get("query"):
        one.equal.append(name)
        one.conditions.append(_sql(condition, dialect))
    elif isinstance(condition, exp.In):
        one.joined.append(name)
    elif isinstance(condition, exp.Between):
        one.ranged.append(name)
        one.conditions.append(_sql(condition, dialect))
    elif isinstance(condition, exp.Is) and isinstance(condition.expression, exp.Null):
        one.equal.append(name)
        one.fixed[name] = _sql(condition, dialect)
        one.conditions.append(_sql(condition, dialect))


def _note_bare(condition: exp.Expr, sources: _Sources, dialect: str) -> None:
    """Take `flag`, `NOT flag` and `column IS NOT NULL`: what only a partial index can serve."""
    inner = condition.this if isinstance(condition, exp.Not) else condition
    column = inner.this if isinstance(inner, exp.Is) else inner
    owner = sources.of(column)
    if owner is not None:
        one = sources.asked[owner[0]]
        one.fixed[owner[1]] = _sql(condition, dialect)
        one.conditions.append(_sql(condition, dialect))


def _note_comparison(condition: exp.Expr, sources: _Sources, dialect: str) -> None:
    left, right = condition.this, condition.expression
    kind: type[exp.Expr] = type(condition)
    owner, other = sources.of(left), right
    if owner is None:
        owner, other, kind = sources.of(right), left, _FLIPPED[kind]
    if owner is None:
        return
    one = sources.asked[owner[0]]
    if other.find(exp.Column) is not None:
        theirs = sources.of(other)
        if kind is exp.EQ:
            one.joined.append(owner[1])
            if theirs is not None and theirs[0] != owner[0]:
                sources.asked[theirs[0]].joined.append(theirs[1])
        return
    (one.equal if kind is exp.EQ else one.ranged).append(owner[1])
    if other.find(exp.Query) is None:
        one.conditions.append(_sql(condition, dialect))
    if kind is exp.EQ and isinstance(other, exp.Literal | exp.Boolean):
        one.fixed[owner[1]] = _sql(condition, dialect)


def _note_order(select: exp.Expr, sources: _Sources) -> None:
    order = select.args.get("order")
    if order is None or select.args.get("group"):
        return
    owners = [sources.of(one.this) for one in order.expressions]
    ways = {bool(one.args.get("desc")) for one in order.expressions}
    if len(ways) != 1 or None in owners or len({owner[0] for owner in owners if owner}) != 1:
        return
    for owner in owners:
        if owner is not None:
            sources.asked[owner[0]].order.append(owner[1])


def _sql(condition: exp.Expr, dialect: str) -> str:
    """Return a condition as SQL without its table's alias, with `:name` parameters."""
    copy = condition.copy()
    for column in copy.find_all(exp.Column):
        column.set("table", None)
        column.set("db", None)
    for placeholder in copy.find_all(exp.Placeholder):
        if placeholder.this:
            placeholder.replace(exp.Var(this=f":{placeholder.name}"))
    return copy.sql(dialect=_READ[dialect])
