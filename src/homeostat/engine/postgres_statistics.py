"""The planner's statistics of one PostgreSQL table as they are, and put back: from 18 on.

`pg_restore_relation_stats` and `pg_restore_attribute_stats` take what pg_class and pg_stats show
(PostgreSQL documentation, 9.28.12). Most common values and histograms are values of users, so
whoever keeps what is read here encrypts it. Where putting back would not be exact, it is refused
before anything is read.
"""

from __future__ import annotations

from homeostat.driver.wire import Wire
from homeostat.engine.statements import statement
from homeostat.errors import UnsupportedError

Statistics = dict[str, list[list[object]]]
VERSION_MIN = 180_000
RELATION, ATTRIBUTE = "pg_class", "pg_stats"
_TYPES = {
    "attname": "text",
    "inherited": "boolean",
    "null_frac": "real",
    "avg_width": "integer",
    "n_distinct": "real",
    "most_common_vals": "text",
    "most_common_freqs": "real[]",
    "histogram_bounds": "text",
    "correlation": "real",
    "most_common_elems": "text",
    "most_common_elem_freqs": "real[]",
    "elem_count_histogram": "real[]",
    "range_length_histogram": "text",
    "range_empty_frac": "real",
    "range_bounds_histogram": "text",
}
_SIZES = {
    "relpages": "integer",
    "reltuples": "real",
    "relallvisible": "integer",
    "relallfrozen": "integer",
}
_AGAINST = """
SELECT CASE
  WHEN c.relkind <> 'r' OR c.relhassubclass THEN 'its parts have statistics of their own'
  WHEN NOT has_table_privilege(c.oid, 'SELECT') THEN 'this role may not read all of its columns'
  WHEN row_security_active(c.oid) THEN 'row security hides its statistics'
  WHEN EXISTS (SELECT FROM pg_statistic_ext e WHERE e.stxrelid = c.oid)
    THEN 'extended statistics cannot be put back'
  WHEN EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indexprs IS NOT NULL)
    THEN 'those of expressions cannot be put back'
END FROM pg_class c WHERE c.oid = to_regclass(:place)
"""
_RELATIONS = """
SELECT n.nspname::text, c.relname::text, c.relpages::text, c.reltuples::text,
       c.relallvisible::text, to_jsonb(c) ->> 'relallfrozen'
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = to_regclass(:place)
   OR c.oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = to_regclass(:place))
ORDER BY c.relkind = 'i', c.relname
"""


def read(wire: Wire, *, schema: str, name: str, place: str) -> Statistics:
    """Return the statistics of a table and its indexes; every value as text, so none is rounded.

    Args:
        wire: any connection to the database.
        schema: of the table.
        name: of the table.
        place: both, quoted.

    Raises:
        UnsupportedError: they could not be put back exactly; says why.
    """
    version = wire.execute("SELECT current_setting('server_version_num')::int").scalar()
    if int(str(version)) < VERSION_MIN:
        message = (
            "PostgreSQL up to 17 cannot give or take its statistics exactly. Use "
            "refresh_statistics; it cannot be undone."
        )
        raise UnsupportedError(message, where=wire.label)
    against = wire.execute(_AGAINST, {"place": place}).scalar()
    if against is not None:
        message = "The statistics of this table could not be put back. Run ANALYZE yourself."
        raise UnsupportedError(message, where=place, detail=str(against))
    found = wire.execute(
        statement("postgresql", "statistics_kept"), {"schema": schema, "name": name}
    ).rows
    return {
        RELATION: [list(row) for row in wire.execute(_RELATIONS, {"place": place}).rows],
        ATTRIBUTE: [[schema, name, *row] for row in found],
    }


def write(wire: Wire, rows: Statistics, *, schema: str, name: str) -> None:
    """Put statistics back as they were, in one transaction; those that are new since go.

    Raises:
        DatabaseError: nothing was changed.
    """
    wire.begin(write=True)
    try:
        here = {"schema": schema, "name": name}
        asked = "SELECT attname::text, inherited FROM pg_stats WHERE schemaname = :schema "
        for column, inherited in wire.execute(f"{asked}AND tablename = :name", here).rows:
            wire.execute(
                "SELECT pg_clear_attribute_stats(:schema, :name, :column, :inherited)",
                {**here, "column": column, "inherited": inherited},
            )
        for row in rows[RELATION]:
            _restore(wire, "pg_restore_relation_stats", row, _SIZES)
        for row in rows[ATTRIBUTE]:
            _restore(wire, "pg_restore_attribute_stats", row, _TYPES)
        wire.commit()
    except BaseException:
        wire.rollback()
        raise


def _restore(wire: Wire, function: str, row: list[object], types: dict[str, str]) -> None:
    given = dict(zip(("schemaname", "relname", *types), row, strict=True))
    known = {key: value for key, value in given.items() if value is not None}
    pairs = ", ".join(f"'{key}', CAST(:{key} AS {types.get(key, 'text')})" for key in known)
    wire.execute(f"SELECT {function}({pairs})", known)
