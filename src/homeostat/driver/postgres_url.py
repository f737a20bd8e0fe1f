"""PostgreSQL's URLs: read as libpq reads them, and never quoted in an error."""

from __future__ import annotations

import os
import re
from typing import Any

import psycopg
from psycopg import conninfo

from homeostat.errors import ConfigError

_HOSTS = r"(\[[^\]]*\]|[^:@/?#,]*)(:[0-9]*)?(,(\[[^\]]*\]|[^:@/?#,]*)(:[0-9]*)?)*(/[^@?#]*)?"
_URL = re.compile(
    rf"postgres(ql)?://([^@/?#]*@{_HOSTS}(\?[^#]*)?|{_HOSTS}(\?[^#@]*)?)\Z", re.IGNORECASE
)


def database_of(url: str) -> str:
    """Return the database that a URL names, as libpq takes it.

    Raises:
        ConfigError: the URL cannot be read.
    """
    given = parsed(url)
    return str(given.get("dbname") or os.environ.get("PGDATABASE") or user_of(url))


def user_of(url: str) -> str:
    """Return the user that a URL names; empty: libpq's own default.

    Raises:
        ConfigError: the URL cannot be read.
    """
    return str(parsed(url).get("user") or os.environ.get("PGUSER") or "")


def parsed(url: str) -> dict[str, Any]:
    """Return the URL's settings by libpq's names; its errors may quote the password, so none do."""
    try:
        if _URL.match(url):  # libpq would take part of an unencoded password for the host
            return dict(conninfo.conninfo_to_dict(url))
    except (psycopg.Error, ValueError):  # the latter: what is percent-encoded is no UTF-8
        pass
    message = (
        "The URL cannot be read. Write postgresql://user@host:port/database and percent-encode "
        "characters such as @ : / ? # in user and password."
    )
    raise ConfigError(message)


def label_of(given: dict[str, Any]) -> str:
    """Return `database on host:port`, with libpq's defaults filled in."""
    host = given.get("host") or given.get("hostaddr") or os.environ.get("PGHOST") or "local socket"
    port = given.get("port") or os.environ.get("PGPORT") or "5432"
    user = given.get("user") or os.environ.get("PGUSER") or ""
    database = given.get("dbname") or os.environ.get("PGDATABASE") or user or "postgres"
    return f"{database} on {host}:{port}"
