"""Settings of `homeostat check` for SQLite files."""

from __future__ import annotations

from typing import Annotated

from homeostat.config.section import Count, Section, Share, about


class SqliteCheckConfig(Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Limits and thresholds of checks of SQLite files."""

    sqlite_rows_min: Annotated[
        Count, about("SQLite: keys and indexes of smaller tables are left alone.")
    ] = 1_000
    statistics_rows_min: Annotated[
        Count, about("SQLite: statistics of smaller tables do not matter.")
    ] = 10_000
    integrity_check_bytes_max: Annotated[
        Count, about("SQLite: larger files are read, but indexes not compared (100 MB).")
    ] = 100_000_000
    quick_check_bytes_max: Annotated[
        Count, about("SQLite: larger files are not read through (300 MB).")
    ] = 300_000_000
    sizes_bytes_max: Annotated[
        Count, about("SQLite: larger files are not read for the sizes of indexes (64 MB).")
    ] = 64_000_000
    page_size_bytes_min: Annotated[
        Count, about("SQLite: the page size of smaller files does not matter (10 MB).")
    ] = 10_000_000
    value_rows_max: Annotated[
        Count, about("SQLite: first and last rows of a table whose values are looked at.")
    ] = 5_000
    rowid_share: Annotated[
        Share, about("SQLite: part of the row numbers (2^63) past which they run out.")
    ] = 0.5
    blob_bytes: Annotated[
        Count, about("SQLite: values from this size on are large (sqlite.org: 100 kB).")
    ] = 100_000
