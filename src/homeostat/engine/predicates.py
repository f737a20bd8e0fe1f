"""What a statement asks of each table: equalities, ranges, joins and order, from its text.

The text is parsed, never run. What cannot be parsed, or hides columns in an expression of several,
yields nothing: an index that serves no plain predicate is not ours to propose.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.scope import traverse_scope

from homeostat.driver.wire import Params
from homeostat.engine.facets import TableInfo, ViewInfo
from homeostat.engine.sources import (
    Asked,
    Condition,
    Owner,
    Sources,
    by_name,
    inner_sources,
    uses_of,
    with_views,
)
from homeostat.engine.texts import columns_beside, parsed, sql_of

_FLIPPED: dict[type[exp.Expr], type[exp.Expr]] = {
    exp.GT: exp.LT,
    exp.LT: exp.GT,
    exp.GTE: exp.LTE,
    exp.LTE: exp.GTE,
    exp.EQ: exp.EQ,
}
_WILD = ("%", "_")
_COUNTABLE = (
    exp.NEQ,
    exp.Not,
    exp.Like,
    exp.ILike,
    exp.Or,
    exp.EQ,
    exp.GT,
    exp.GTE,
    exp.LT,
    exp.LTE,
)
_UNSAFE = (exp.Query, exp.Anonymous, exp.AggFunc, exp.Window)
_NOT_INDEXED = (exp.Placeholder, exp.Parameter, exp.Connector, exp.Predicate)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Takes conditions apart in one scope."""

    sources: Sources
    dialect: str
    params: Params | None


def asked(
    sql: str,
    dialect: str,
    tables: Sequence[TableInfo],
    *,
    views: Sequence[ViewInfo] = (),
    params: Params | None = None,
) -> list[Asked]:
    """Return what a statement asks of each table that it reads, in the order of the text.

    Args:
        sql: one statement.
        dialect: of the engine.
        tables: that exist.
        views: that exist; the statement is read as if their SELECTs stood in it.
        params: of a call, to tell `LIKE :x` with a beginning from one without.
    """
    tree = parsed(sql, dialect)
    if tree is None:
        return []
    known = by_name(tables)
    tree = with_views(tree, views, dialect)
    found: list[Asked] = []
    roots: list[exp.Expr] = []
    if isinstance(tree, exp.Update | exp.Delete):
        found += _of_change(tree, known, dialect, params)
        roots += [one for one in tree.find_all(exp.Query) if one.find_ancestor(exp.Query) is None]
    elif isinstance(tree, exp.Insert):
        roots.append(tree.expression)
    else:
        roots.append(tree)
    for root in roots:
        if isinstance(root, exp.Query):
            found += _of_query(root, known, dialect, params)
    return found


def _of_query(
    tree: exp.Query, known: Mapping[str, TableInfo], dialect: str, params: Params | None
) -> list[Asked]:
    try:
        scopes = traverse_scope(tree)
    except SqlglotError:
        return []
    uses = uses_of(scopes)
    made: dict[int, list[Sources]] = {}
    found: list[Sources] = []
    for scope in scopes:  # the inner ones come first
        if not isinstance(scope.expression, exp.Select):
            made[id(scope.expression)] = inner_sources(scope, made)
            continue
        sources = Sources(scope, known, made, uses)
        made[id(scope.expression)] = [sources]
        found.append(sources)
    for sources in found:
        _take_scope(_Reader(sources, dialect, params))
    return [one for sources in found for one in sources.asked.values()]


def _of_change(
    tree: exp.Update | exp.Delete,
    known: Mapping[str, TableInfo],
    dialect: str,
    params: Params | None,
) -> list[Asked]:
    """Take UPDATE and DELETE for the SELECT of the rows they change."""
    target, where = tree.this, tree.args.get("where")
    if not isinstance(target, exp.Table):
        return []
    select = exp.select("*").from_(target.copy())
    more = tree.args.get("from_") or tree.args.get("from")
    others = [more.this] if more is not None else []
    using = tree.args.get("using")
    others += list(using) if isinstance(using, list) else []
    for other in others:
        select = select.join(other.copy(), join_type="cross")
    if where is not None:
        select = select.where(where.this.copy())
    scopes = [one for one in traverse_scope(select) if one.expression is select]
    if not scopes:
        return []
    sources = Sources(scopes[-1], known, {}, uses_of(scopes))
    _take_scope(_Reader(sources, dialect, params))
    return list(sources.asked.values())


def _take_scope(reader: _Reader) -> None:
    select = reader.sources.scope.expression
    conditions = [select.args["where"].this] if select.args.get("where") else []
    for join in select.args.get("joins") or []:
        if join.args.get("on"):
            conditions.append(join.args["on"])
        for name in join.args.get("using") or []:
            for one, column in reader.sources.shared(name.name):
                one.joined.append(column)
    for whole in conditions:
        for condition in _conjuncts(whole):
            _note(condition, reader)
    for one in reader.sources.asked.values():
        one.limited = select.args.get("limit") is not None
    _note_order(select, reader)


def _conjuncts(condition: exp.Expr) -> Iterator[exp.Expr]:
    condition = condition.unnest()
    if isinstance(condition, exp.And):
        yield from _conjuncts(condition.left)
        yield from _conjuncts(condition.right)
    else:
        yield condition


def _sides(condition: exp.Expr) -> Iterator[exp.Expr]:
    condition = condition.unnest()
    if isinstance(condition, exp.Or):
        yield from _sides(condition.left)
        yield from _sides(condition.right)
    else:
        yield condition


def _note(condition: exp.Expr, reader: _Reader) -> None:
    """Take one condition that has to hold."""
    if isinstance(condition, exp.Or):
        _note_either(condition, reader)
    elif isinstance(condition, exp.EQ | exp.GT | exp.GTE | exp.LT | exp.LTE):
        _note_comparison(condition, reader)
    elif isinstance(condition, exp.Like | exp.Glob):
        _note_pattern(condition, reader)
    elif isinstance(condition, exp.In | exp.Between | exp.Is):
        _note_test(condition, reader)
    else:
        _note_bare(condition, reader)


def _note_test(condition: exp.Expr, reader: _Reader) -> None:
    """Take IN, BETWEEN and IS."""
    if isinstance(condition.this, exp.Tuple):
        _note_list_of_rows(condition, reader)
        return
    owners = _owners(condition.this, reader)
    if not owners:
        _note_bare(condition, reader)
    for one, name in owners:
        if isinstance(condition, exp.In):
            within = condition.args.get("query") is not None
            (one.joined if within else one.equal).append(name)
            if not within:
                _count(one, name, condition, reader)
        elif isinstance(condition, exp.Between):
            one.ranged.append(name)
            _count(one, name, condition, reader)
        elif isinstance(condition.expression, exp.Null):
            one.equal.append(name)
            one.fixed[name] = sql_of(condition, reader.dialect)
            _count(one, name, condition, reader)
        else:
            _note_bare(condition, reader)


def _note_list_of_rows(condition: exp.Expr, reader: _Reader) -> None:
    """Take `(a, b) IN (...)` for equalities of both."""
    counted = condition.args.get("query") is not None
    for part in condition.this.expressions:
        for one, name in reader.sources.of(part):
            one.equal.append(name)
            if not counted:
                _count(one, name, condition, reader)
                counted = True


def _note_bare(condition: exp.Expr, reader: _Reader) -> None:
    """Take `flag`, `NOT flag` and `column IS NOT NULL`: what only a partial index can serve."""
    inner = condition.this if isinstance(condition, exp.Not) else condition
    column = inner.this if isinstance(inner, exp.Is) else inner
    owners = reader.sources.of(column)
    for one, name in owners:
        one.fixed[name] = sql_of(condition, reader.dialect)
        _count(one, name, condition, reader)
    if not owners:
        _note_other(condition, reader)


def _note_comparison(condition: exp.Expr, reader: _Reader) -> None:
    left, right = condition.this, condition.expression
    kind: type[exp.Expr] = type(condition)
    if isinstance(left, exp.Tuple) and isinstance(right, exp.Tuple):
        _note_rows(condition, reader)
        return
    owners, other = _owners(left, reader), right
    if not owners:
        owners, other, kind = _owners(right, reader), left, _FLIPPED[kind]
    if not owners:
        _note_other(condition, reader)
    for one, name in owners:
        if other.find(exp.Column) is None:
            _note_value(condition, kind, other, (one, name), reader)
        elif kind is exp.EQ:
            one.joined.append(name)
            for theirs, column in reader.sources.of(other):
                if theirs is not one:
                    theirs.joined.append(column)


def _note_value(
    condition: exp.Expr, kind: type[exp.Expr], value: exp.Expr, owner: Owner, reader: _Reader
) -> None:
    """Take a comparison with a value."""
    one, name = owner
    (one.equal if kind is exp.EQ else one.ranged).append(name)
    if value.find(exp.Query) is None:
        _count(one, name, condition, reader)
    if kind is exp.EQ and isinstance(value, exp.Literal | exp.Boolean):
        one.fixed[name] = sql_of(condition, reader.dialect)


def _note_rows(condition: exp.Expr, reader: _Reader) -> None:
    """Take `(a, b) = (:x, :y)` for both, and `(a, b) > (:x, :y)` for a range of the first."""
    if condition.expression.find(exp.Column) is not None:
        return
    equal = isinstance(condition, exp.EQ)
    for place, part in enumerate(condition.this.expressions):
        for one, name in reader.sources.of(part):
            if equal:
                one.equal.append(name)
            elif place == 0:
                one.ranged.append(name)
            if place == 0:
                _count(one, name, condition, reader)


def _note_pattern(condition: exp.Expr, reader: _Reader) -> None:
    """Take LIKE and GLOB with a beginning; another one only counts."""
    pattern = condition.expression
    text = pattern.name if isinstance(pattern, exp.Literal) else None
    if isinstance(pattern, exp.Placeholder) and reader.params is not None:
        text = str(reader.params.get(pattern.name, ""))
    begins = bool(text) and str(text)[0] not in (*_WILD, "*", "?", "[")
    owners = reader.sources.of(condition.this) if begins else []
    for one, name in owners:
        (one.ranged if isinstance(condition, exp.Glob) else one.prefixed).append(name)
        _count(one, name, condition, reader)
    if not owners:
        _note_other(condition, reader)


def _note_either(condition: exp.Expr, reader: _Reader) -> None:
    """Take an OR on one table: every side needs an index, or all of it is read."""
    before = list(reader.sources.asked.values())
    sides: list[Asked] = []
    for side in _sides(condition):
        trial = _Reader(reader.sources.blank(), reader.dialect, reader.params)
        for part in _conjuncts(side):
            _note(part, trial)
        found = [one for one in trial.sources.asked.values() if one.conditions]
        if len(found) != 1:
            return
        sides += found
    tables = {(one.table, one.schema) for one in sides}
    whole = [one for one in before if (one.table, one.schema) in tables]
    if len(tables) != 1 or len(whole) != 1 or not all(_first(one) for one in sides):
        _note_other(condition, reader)
        return
    firsts = {_first(one) for one in sides}
    if len(firsts) == 1 and all(one.equal == [_first(one)] for one in sides):
        whole[0].equal.append(firsts.pop())
    else:
        whole[0].either += sides
    _count(whole[0], "", condition, reader)


def _first(one: Asked) -> str:
    return next(iter([*one.equal, *one.ranged, *one.prefixed]), "")


def _note_other(condition: exp.Expr, reader: _Reader) -> None:
    """Take a condition that no index serves, to count by it, if it is cheap and on one table."""
    if not isinstance(condition, _COUNTABLE) or condition.find(*_UNSAFE) is not None:
        return
    owners = [reader.sources.of(column) for column in condition.find_all(exp.Column)]
    tables = {id(found[0][0]) for found in owners if len(found) == 1}
    if len(tables) == 1 and all(len(found) == 1 for found in owners):
        one = owners[0][0][0]
        renamed = _renamed(condition, one, reader)
        if renamed is not None:
            one.others.append(sql_of(renamed, reader.dialect))


def _owners(target: object, reader: _Reader) -> list[Owner]:
    """Return the owners of a column, or of an expression of one column alone."""
    if isinstance(target, exp.Column):
        return reader.sources.of(target)
    if not isinstance(target, exp.Func | exp.Binary):
        return []
    names = {column.sql() for column in target.find_all(exp.Column)}
    if len(names) != 1 or target.find(*_UNSAFE, *_NOT_INDEXED) is not None:
        return []
    owners = []
    for one, _ in reader.sources.of(target.find(exp.Column)):
        renamed = _renamed(target, one, reader)
        if renamed is not None:
            text = sql_of(renamed, reader.dialect)
            one.expressions.add(text)
            owners.append((one, text))
    return owners


def _renamed(tree: exp.Expr, one: Asked, reader: _Reader) -> exp.Expr | None:
    """Return a copy whose columns are called as in a table; None: some are not of it."""
    copy = tree.copy()
    for column in list(copy.find_all(exp.Column)):
        real = next((name for asks, name in reader.sources.of(column) if asks is one), None)
        if real is None:
            return None
        quoted = bool(column.this.args.get("quoted")) or real != real.lower()
        column.set("this", exp.to_identifier(real, quoted=quoted))
    return copy


def _count(one: Asked, name: str, condition: exp.Expr, reader: _Reader) -> None:
    """Note a condition for counting."""
    renamed = _renamed(condition, one, reader)
    if renamed is not None:
        one.conditions.append(Condition(name, sql_of(renamed, reader.dialect)))


def _note_order(select: exp.Expr, reader: _Reader) -> None:
    order = select.args.get("order")
    if select.args.get("group"):
        return
    if order is None:
        _note_extreme(select, reader)
        return
    owners = [reader.sources.of(one.this) for one in order.expressions]
    ways = {bool(one.args.get("desc")) for one in order.expressions}
    if len(ways) != 1 or any(len(found) != 1 for found in owners):
        return
    if len({id(found[0][0]) for found in owners}) == 1:
        for found in owners:
            found[0][0].order.append(found[0][1])


def _note_extreme(select: exp.Expr, reader: _Reader) -> None:
    """Take MIN and MAX of one column for the first row in its order, whatever is made of them.

    PostgreSQL takes an index for several of them as well, SQLite for one alone ("The SQLite Query
    Optimizer Overview", 13).
    """
    projections = [one.unalias() for one in select.args.get("expressions") or []]
    found = [one for part in projections for one in part.find_all(exp.AggFunc)]
    several = len(found) > 1 and reader.dialect == "sqlite"
    if several or not all(_is_extreme(one) for one in found) or select.args.get("having"):
        return
    beside = any(columns_beside(part, exp.AggFunc) for part in projections)
    if beside or any(part.find(exp.Query, exp.Window) is not None for part in projections):
        return
    owners = [reader.sources.of(one.this) for one in found]
    if not owners or any(one != owners[0] for one in owners):
        return
    for one, name in owners[0]:
        one.order.append(name)
        one.limited = True


def _is_extreme(one: exp.Expr) -> bool:
    return isinstance(one, exp.Min | exp.Max) and not one.expressions
