"""Rows for a clone that is too large to be whole: a sample that no foreign key leaves dangling.

Tables that are small come whole. Of a table that refers to a sampled one, those rows come whose
parents came; of the others a share, chosen by a hash of the row's place, so that one pass over each
table is enough and the source needs no index for it. Then rows that are still referred to and
missing are fetched by their keys, until none is. The source is read in one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from homeostat.driver.postgres import PostgresWire
from homeostat.driver.tokens import quoted
from homeostat.engine.statements import statement
from homeostat.errors import CloneRefusedError

WHOLE_BYTES_MAX = 1_000_000  # a table this small comes whole: countries, settings, ...
ROWS_AT_ONCE = 5_000
PARTS = 1_000_000  # the share is so many parts of a million


@dataclass(frozen=True, slots=True)
class Table:
    """A table; one `in_parts` holds no rows itself, but may be referred to."""

    oid: int
    place: tuple[str, str]
    bytes: int
    rows: float
    columns: tuple[str, ...]
    in_parts: bool

    @property
    def name(self) -> str:
        """Return it as SQL."""
        return f"{quoted(self.place[0])}.{quoted(self.place[1])}"


@dataclass(frozen=True, slots=True)
class Key:
    """A foreign key: the child's columns refer to the parent's."""

    child: int
    parent: int
    columns: tuple[str, ...]
    referenced: tuple[str, ...]
    types: tuple[str, ...]

    def joined(self, child: str, parent: str) -> str:
        """Return the condition that a child's row and a parent's belong together."""
        pairs = zip(self.columns, self.referenced, strict=True)
        return " AND ".join(f"{child}.{quoted(a)} = {parent}.{quoted(b)}" for a, b in pairs)

    def missing(self, child: str) -> str:
        """Return the condition that a child's row refers to nothing."""
        return " OR ".join(f"{child}.{quoted(column)} IS NULL" for column in self.columns)


class Sample:
    """Copies a share of the rows of one database into another that has its empty tables."""

    def __init__(
        self,
        source: PostgresWire,
        target: PostgresWire,
        *,
        bytes_wanted: int,
        go_on: Callable[[int], None],
    ) -> None:
        """Look at the source's tables.

        Args:
            source: in a reading transaction of one moment.
            target: has the tables, without indexes, keys and triggers.
            bytes_wanted: about how many bytes of tables to take.
            go_on: called with the bytes copied, 0 at first; what it raises ends the copy.
        """
        self._source = source
        self._target = target
        self._go_on = go_on
        rows = source.execute(statement("postgresql", "sample_tables")).dicts()
        self._tables = {table.oid: table for table in map(_table, rows)}
        keys = map(_key, source.execute(statement("postgresql", "sample_keys")).dicts())
        self._keys = [k for k in keys if k.child in self._tables and k.parent in self._tables]
        large = sum(t.bytes for t in self._tables.values() if t.bytes > WHOLE_BYTES_MAX)
        self._share = min(1.0, bytes_wanted / large) if large else 1.0
        self._bytes = 0
        self._rows = 0

    def copy(self) -> float:
        """Copy; return the share of the rows that came.

        Raises:
            CloneRefusedError: a row refers to one that is not there in the source.
        """
        self._go_on(self._bytes)
        order = self._parents_first()
        for place, oid in enumerate(order):
            known = set(order[:place])
            self._copy_chosen(self._tables[oid], self._condition(oid, "t", known, 0))
        while any(self._copy_missing(key) for key in self._keys):
            continue
        self._set_sequences()
        total = sum(table.rows for table in self._tables.values())
        return min(1.0, self._rows / total) if total else 1.0

    def _parents_first(self) -> list[int]:
        """Return the tables so that a parent comes before its children; circles are cut."""
        order: list[int] = []
        seen: set[int] = set()

        def visit(oid: int) -> None:
            if oid in seen:
                return
            seen.add(oid)
            for key in self._keys:
                if key.child == oid:
                    visit(key.parent)
            order.append(oid)

        for oid in self._tables:
            visit(oid)
        return order

    def _condition(self, oid: int, alias: str, known: set[int], depth: int) -> str:
        """Return which rows of a table come."""
        table = self._tables[oid]
        if table.bytes <= WHOLE_BYTES_MAX or self._share >= 1:
            return "true"
        by_place = f"mod(abs(hashtextextended({alias}.ctid::text, {oid})), {PARTS})"
        chosen = f"{by_place} < {int(self._share * PARTS)}"
        parents = [
            key
            for key in self._keys
            if key.child == oid
            and key.parent in known
            and key.parent != oid
            and self._tables[key.parent].bytes > WHOLE_BYTES_MAX
        ]
        if not parents:
            return chosen
        key = max(parents, key=lambda one: self._tables[one.parent].bytes)
        above = f"p{depth}"
        earlier = known - {oid}
        inner = self._condition(key.parent, above, earlier - {key.parent}, depth + 1)
        return (
            f"(EXISTS (SELECT 1 FROM {self._tables[key.parent].name} {above} "
            f"WHERE {key.joined(alias, above)} AND {inner}) "
            f"OR (({key.missing(alias)}) AND {chosen}))"
        )

    def _copy_chosen(self, table: Table, condition: str) -> None:
        if table.in_parts or not table.columns:
            return
        columns = ", ".join(f"t.{quoted(column)}::text" for column in table.columns)
        self._source.execute(
            f"DECLARE homeostat_sample NO SCROLL CURSOR FOR "
            f"SELECT {columns} FROM ONLY {table.name} t WHERE {condition}"
        )
        try:
            while rows := self._source.execute(f"FETCH {ROWS_AT_ONCE} FROM homeostat_sample").rows:
                self._insert(table, rows)
        finally:
            if not self._source.broken:
                self._source.execute("CLOSE homeostat_sample")

    def _copy_missing(self, key: Key) -> bool:
        """Fetch the parents' rows that are referred to and not there; return whether any was."""
        parent, child = self._tables[key.parent], self._tables[key.child]
        wanted = ", ".join(f"c.{quoted(column)}::text" for column in key.columns)
        present = " AND ".join(f"c.{quoted(column)} IS NOT NULL" for column in key.columns)
        lost = self._target.execute(
            f"SELECT DISTINCT {wanted} FROM {child.name} c WHERE {present} AND NOT EXISTS "
            f"(SELECT 1 FROM {parent.name} p WHERE {key.joined('c', 'p')})"
        ).rows
        for part in _parts(lost):
            found = self._rows_by_key(parent, key, part)
            if not found:
                message = "A row refers to one that is not in the source, so its key is not valid."
                raise CloneRefusedError(message, where=self._source.label, detail=child.name)
            self._insert(parent, found)
        return bool(lost)

    def _rows_by_key(
        self, parent: Table, key: Key, values: Sequence[tuple[object, ...]]
    ) -> Sequence[tuple[object, ...]]:
        columns = ", ".join(f"t.{quoted(column)}::text" for column in parent.columns)
        arrays = ", ".join(
            f"CAST(:k{place} AS text[])::{kind}[]" for place, kind in enumerate(key.types)
        )
        names = ", ".join(f"k{place}" for place in range(len(key.types)))
        joined = " AND ".join(
            f"t.{quoted(column)} = k.k{place}" for place, column in enumerate(key.referenced)
        )
        params = {
            f"k{place}": list(column) for place, column in enumerate(zip(*values, strict=True))
        }
        return self._source.execute(
            f"SELECT {columns} FROM {parent.name} t "
            f"JOIN unnest({arrays}) AS k ({names}) ON {joined}",
            params,
        ).rows

    def _insert(self, table: Table, rows: Sequence[tuple[object, ...]]) -> None:
        self._target.insert_rows(table.place, table.columns, rows)
        self._rows += len(rows)
        self._bytes += sum(len(str(value)) for row in rows for value in row if value is not None)
        self._go_on(self._bytes)

    def _set_sequences(self) -> None:
        """Let sequences go on where those of the source are."""
        asked = (
            "SELECT quote_ident(schemaname) || '.' || quote_ident(sequencename), last_value "
            "FROM pg_sequences WHERE last_value IS NOT NULL"
        )
        for name, value in self._source.execute(asked).rows:
            self._target.execute(
                "SELECT setval(to_regclass(:name), :value) WHERE to_regclass(:name) IS NOT NULL",
                {"name": name, "value": value},
            )


def _parts(rows: Sequence[tuple[object, ...]]) -> Iterator[Sequence[tuple[object, ...]]]:
    for first in range(0, len(rows), ROWS_AT_ONCE):
        yield rows[first : first + ROWS_AT_ONCE]


def _table(row: Mapping[str, Any]) -> Table:
    place = (row["schema_name"], row["table_name"])
    return Table(
        row["oid"], place, row["bytes"], row["row_count"], tuple(row["columns"]), row["kind"] == "p"
    )


def _key(row: Mapping[str, Any]) -> Key:
    return Key(
        row["child"],
        row["parent"],
        tuple(row["columns"]),
        tuple(row["referenced"]),
        tuple(row["types"]),
    )
