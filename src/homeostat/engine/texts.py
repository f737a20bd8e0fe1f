"""Statements as trees, and what their text says without asking any database.

The text is parsed, never run. What cannot be parsed yields nothing.
"""

from __future__ import annotations

import logging

from sqlglot import ErrorLevel, exp, parse_one
from sqlglot.errors import SqlglotError

from homeostat.driver.tokens import tokens
from homeostat.engine.postgres_explain import with_casts

READ = {"sqlite": "sqlite", "postgresql": "postgres"}
logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it warns of what it leaves alone


def parsed(sql: str, dialect: str) -> exp.Expr | None:
    """Return the statement's tree, `$1` as `:p_1`; or None when it cannot be parsed."""
    if dialect == "postgresql":
        sql = with_casts(sql)
    try:
        tree = parse_one(_named(sql), read=READ[dialect], error_level=ErrorLevel.RAISE)
    except (SqlglotError, RecursionError, ValueError):
        return None
    return tree if isinstance(tree, exp.Expr) else None


def _named(sql: str) -> str:
    """Return the text with names for numbered parameters, which the parser takes for quotes."""
    return "".join(
        f":p_{text[1:]}" if text[0] == "$" and text[1:].isdecimal() else text
        for _, text in tokens(sql)
    )


def sql_of(tree: exp.Expr, dialect: str) -> str:
    """Return a condition as SQL without its table's alias, with `:name` parameters."""
    copy = tree.copy()
    for column in copy.find_all(exp.Column):
        column.set("table", None)
        column.set("db", None)
    for placeholder in list(copy.find_all(exp.Placeholder)):
        if placeholder.this:
            named = exp.Var(this=f":{placeholder.name}")
            if placeholder is copy:
                return named.name
            placeholder.replace(named)
    return copy.sql(dialect=READ[dialect], normalize_functions=False)


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


def summed_up(sql: str, dialect: str) -> str:
    """Return the one table of which a statement sums up every row, in lower case; else nothing.

    That is a SELECT of aggregates or of groups without a condition. One that calls functions which
    the parser does not know may be slow by these. One that wants nothing but the smallest or
    largest values, or that leaves out groups by their columns, reads few rows with an index.
    """
    tree = parsed(sql, dialect)
    if not isinstance(tree, exp.Select) or tree.find(exp.Anonymous, exp.Window, exp.Subquery):
        return ""
    if any(tree.args.get(part) for part in ("where", "joins", "with_", "with", "limit")):
        return ""
    tables = list(tree.find_all(exp.Table))
    aggregates = list(tree.find_all(exp.AggFunc))
    having = tree.args.get("having")
    if having is not None and columns_beside(having, exp.AggFunc):
        return ""
    if tree.args.get("group") is None and all(
        isinstance(one, exp.Min | exp.Max) for one in aggregates
    ):
        return ""
    return tables[0].name.lower() if len(tables) == 1 else ""


def columns_beside(tree: exp.Expr, kind: type[exp.Expr]) -> list[exp.Column]:
    """Return the columns that stand outside of all expressions of a kind."""
    return [one for one in tree.find_all(exp.Column) if one.find_ancestor(kind) is None]


def inserted_values(sql: str, dialect: str) -> tuple[str, dict[str, str]]:
    """Return the table and the value of each column (SQL) of an INSERT of one row of values."""
    tree = parsed(sql, dialect)
    if not isinstance(tree, exp.Insert) or not isinstance(tree.this, exp.Schema):
        return "", {}
    rows = tree.expression.expressions if isinstance(tree.expression, exp.Values) else []
    if len(rows) != 1 or not isinstance(rows[0], exp.Tuple):
        return "", {}
    columns = [one.name for one in tree.this.expressions]
    values = [sql_of(one, dialect) for one in rows[0].expressions]
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
