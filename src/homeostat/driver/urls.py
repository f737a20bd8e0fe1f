"""Which engine a URL leads to; PostgreSQL's own URLs are read in postgres_url.py."""

from __future__ import annotations

from homeostat.errors import ConfigError

_POSTGRES = ("postgresql://", "postgres://")
_SQLITE = "sqlite:///"


def is_postgres_url(url: str) -> bool:
    """Return whether a URL is PostgreSQL's."""
    return url.lower().startswith(_POSTGRES)


def sqlite_path(url: str) -> str:
    """Return the file that a path or `sqlite:///path` names (an absolute one has four slashes).

    Raises:
        ConfigError: it names a host, or another kind of database, or no file can be called so.
    """
    path = url.removeprefix(_SQLITE)
    if "\0" in path:
        raise ConfigError("No file's name has a NUL in it. Correct the path.", where=path)
    if "://" in path or not path or path.startswith("sqlite:"):
        message = (
            "This kind of URL is not known. Give a file's path, sqlite:///path or "
            "postgresql://user@host:port/database."
        )
        raise ConfigError(message, where=path.partition(":")[0])
    return path
