"""Which table's column a name in a statement means: through aliases, views, WITH and sub-selects.

A condition on what a sub-select returns is one on the table below it, as both planners treat it
where the sub-select is used once and has no LIMIT of its own. What cannot be told has no owner.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field

from sqlglot import exp
from sqlglot.optimizer.scope import Scope

from homeostat.engine.facets import TableInfo, ViewInfo
from homeostat.engine.texts import parsed

VIEWS_WITHIN_MAX = 5  # views in views that are looked into


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on one table with values only: the column or expression, and the SQL."""

    column: str
    sql: str


@dataclass(slots=True)
class Asked:
    """What one occurrence of a table in a statement is asked for.

    Columns may also be expressions of one column, such as `lower(email)`; see `expressions`.

    Attributes:
        table: its name.
        equal: columns compared with values by `=` or IN, in the order of the text.
        joined: columns compared with columns of other tables.
        ranged: columns compared by <, >, BETWEEN.
        prefixed: columns compared with the beginning of a text (LIKE 'x%').
        order: columns of ORDER BY, if all are of this table and go one way.
        fixed: conditions with constants in the text, which a partial index may take over.
        conditions: the value predicates that an index can serve; for counting.
        others: value predicates that no index serves; for counting.
        either: the sides of an OR of which each has to be found by an index of its own.
        limited: whether the part of the statement around it has a LIMIT.
        expressions: those of the columns above that are expressions.
    """

    table: str
    schema: str = ""
    equal: list[str] = field(default_factory=list)
    joined: list[str] = field(default_factory=list)
    ranged: list[str] = field(default_factory=list)
    prefixed: list[str] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    fixed: dict[str, str] = field(default_factory=dict)
    conditions: list[Condition] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    either: list[Asked] = field(default_factory=list)
    limited: bool = False
    expressions: set[str] = field(default_factory=set)


Owner = tuple[Asked, str]


def by_name(tables: Sequence[TableInfo]) -> dict[str, TableInfo]:
    """Return tables by name and by `schema.name`, in lower case; of two alike `public`'s is first.

    The schema of SQLite is called `main`.
    """
    found: dict[str, TableInfo] = {}
    for table in sorted(tables, key=lambda one: one.schema != "public"):
        found[f"{table.schema or 'main'}.{table.name}".lower()] = table
        found.setdefault(table.name.lower(), table)
    return found


class Sources:
    """The sources of one scope by alias, and which table has a column."""

    def __init__(
        self,
        scope: Scope,
        known: Mapping[str, TableInfo],
        below: Mapping[int, Sequence[Sources]],
        uses: Mapping[int, int],
    ) -> None:
        """Take a scope whose inner scopes were taken before.

        Args:
            scope: of one SELECT.
            known: tables as of `by_name`.
            below: the sources of inner scopes by `id(scope.expression)`; several of a UNION.
            uses: how often each inner scope is used.
        """
        self.asked: dict[str, Asked] = {}
        self.scope = scope
        self.columns: dict[str, dict[str, str]] = {}
        self.inner: dict[str, Sequence[Sources]] = {}
        for alias, (_, source) in scope.selected_sources.items():
            if isinstance(source, exp.Table):
                self.add(alias, source, known)
            elif uses[id(source.expression)] == 1:
                self.inner[alias] = below.get(id(source.expression), ())

    def blank(self) -> Sources:
        """Return the same tables, asked for nothing yet."""
        blank = copy(self)
        blank.inner = {}
        blank.asked = {alias: Asked(one.table, one.schema) for alias, one in self.asked.items()}
        return blank

    def add(self, alias: str, table: exp.Table, known: Mapping[str, TableInfo]) -> None:
        """Add a table by its alias."""
        place = f"{table.db}.{table.name}" if table.db else table.name
        info = known.get(place.lower())
        if info is not None:
            self.asked[alias] = Asked(info.name, info.schema)
            self.columns[alias] = {c.name.lower(): c.name for c in info.columns}

    def of(self, column: object) -> list[Owner]:
        """Return what a column is in the tables: one owner, several through a UNION, or none."""
        if not isinstance(column, exp.Column) or isinstance(column.this, exp.Star):
            return []
        name, wanted = column.name.lower(), column.table.lower()
        found = [
            owners
            for alias in (*self.columns, *self.inner)
            if wanted in {"", alias.lower()} and (owners := self._within(alias, name))
        ]
        return found[0] if len(found) == 1 else []

    def shared(self, name: str) -> list[Owner]:
        """Return the owners of a column of USING, one for each source that has it."""
        return [
            owner
            for alias in (*self.columns, *self.inner)
            for owner in self._within(alias, name.lower())
        ]

    def _within(self, alias: str, name: str) -> list[Owner]:
        if alias in self.columns:
            real = self.columns[alias].get(name)
            return [] if real is None else [(self.asked[alias], real)]
        return [owner for inner in self.inner[alias] for owner in inner.projected(name)]

    def projected(self, name: str) -> list[Owner]:
        """Return what a column of this scope's result is."""
        select = self.scope.expression
        if (
            not isinstance(select, exp.Select)
            or select.args.get("limit")
            or select.args.get("offset")
        ):
            return []
        for one in select.selects:
            if isinstance(one, exp.Star) or (
                isinstance(one, exp.Column) and isinstance(one.this, exp.Star)
            ):
                table = one.table if isinstance(one, exp.Column) else ""
                owners = self.of(exp.column(name, table=table or None))
                if owners:
                    return owners
            elif one.alias_or_name.lower() == name:
                return self.of(one.unalias())
        return []


def uses_of(scopes: Sequence[Scope]) -> Mapping[int, int]:
    """Return how often each inner scope is used, by `id(scope.expression)`."""
    uses: Counter[int] = Counter()
    for scope in scopes:
        for _, source in scope.selected_sources.values():
            if isinstance(source, Scope):
                uses[id(source.expression)] += 1
    return uses


def inner_sources(scope: Scope, made: Mapping[int, Sequence[Sources]]) -> list[Sources]:
    """Return the sources of a scope that is a UNION: those of its sides."""
    sides = scope.set_operation_scopes
    return [one for side in sides for one in made.get(id(side.expression), ())]


def with_views(tree: exp.Expr, views: Sequence[ViewInfo], dialect: str) -> exp.Expr:
    """Return the tree with each view replaced by the SELECT that it stands for."""
    selects: dict[str, exp.Expr] = {}
    for view in views:
        found = _select_of(view, dialect)
        if found is not None:
            selects[view.name.lower()] = found
    for _ in range(VIEWS_WITHIN_MAX if selects else 0):
        named = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
        within = [
            table
            for table in list(tree.find_all(exp.Table))
            if table.name.lower() in selects and table.name.lower() not in named
        ]
        if not within:
            break
        for table in within:
            alias = exp.TableAlias(this=exp.to_identifier(table.alias_or_name))
            select = selects[table.name.lower()].copy()
            joins = table.args.get("joins")
            table.replace(exp.Subquery(this=select, alias=alias, joins=joins))
    return tree


def _select_of(view: ViewInfo, dialect: str) -> exp.Expr | None:
    tree = parsed(view.definition, dialect)
    names: list[str] = []
    if isinstance(tree, exp.Create):
        if isinstance(tree.this, exp.Schema):
            names = [one.name for one in tree.this.expressions]
        tree = tree.expression
    if not isinstance(tree, exp.Query):
        return None
    if names and isinstance(tree, exp.Select) and len(names) == len(tree.selects):
        renamed = [exp.alias_(o.unalias(), n) for o, n in zip(tree.selects, names, strict=True)]
        tree.set("expressions", renamed)
    return tree
