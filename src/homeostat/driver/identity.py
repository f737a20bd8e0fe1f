"""Which database a connection leads to, whatever name or route was used.

One computation for engines and for agents, so that both give a database the same key. It reads;
it changes nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from homeostat.driver.wire import Wire
from homeostat.errors import DatabaseMissingError, RightMissingError

_BY_SYSTEM = """
SELECT d.oid, current_setting('server_version'), c.system_identifier
FROM pg_control_system() c, pg_database d WHERE d.datname = current_database()
"""
_BY_ADDRESS = """
SELECT d.oid, current_setting('server_version'),
       coalesce(host(inet_server_addr()) || ':' || inet_server_port(), 'socket')
FROM pg_database d WHERE d.datname = current_database()
"""


@dataclass(frozen=True, slots=True)
class Identified:
    """A database's identity.

    Attributes:
        dialect: `sqlite` or `postgresql`.
        key: stable and safe as a file name: `sqlite-<device>-<inode>` or
            `postgresql-<system_identifier>-<database oid>` (without the right to
            pg_control_system(): a digest of the server's address in place of the identifier).
        label: for people: the file's path, or `database on host:port`; no secrets.
        version: the engine's version, e.g. `3.54.0`, `15.8`.
    """

    dialect: str
    key: str
    label: str
    version: str


def sqlite_key(path: str | Path) -> str:
    """Return the key of an SQLite file: links and relative names lead to the same one.

    Raises:
        DatabaseMissingError: there is no such file.
    """
    try:
        status = Path(path).stat()
    except OSError as error:
        raise DatabaseMissingError(where=str(path), detail=error.strerror or "") from None
    return f"sqlite-{status.st_dev}-{status.st_ino}"


def identify(wire: Wire, *, path: str | Path | None = None) -> Identified:
    """Return which database an open connection leads to.

    Args:
        wire: the connection; two short reading statements run on it.
        path: the file, for SQLite; None: the wire's label.

    Raises:
        DatabaseError: as of `Wire.execute`.
    """
    if wire.dialect == "sqlite":
        file = path if path is not None else wire.label
        library = str(wire.execute("SELECT sqlite_version()").scalar())
        return Identified("sqlite", sqlite_key(file), wire.label, library)
    oid, version, system = _postgres_identity(wire)
    short = str(version).split(" ")[0]  # Debian appends its package's version
    return Identified("postgresql", f"postgresql-{system}-{oid}", wire.label, short)


def _postgres_identity(wire: Wire) -> tuple[object, ...]:
    """Return the database's oid, the server's version, and what tells the server from others.

    That is the system identifier, which initdb makes up. A role that may not ask for it (it is
    granted to everyone unless revoked) gets `a` and a digest of the server's address and port: the
    same by every route that ends at the same address, but not across two addresses of one server.
    """
    try:
        return wire.execute(_BY_SYSTEM).rows[0]
    except RightMissingError:
        oid, version, place = wire.execute(_BY_ADDRESS).rows[0]
        return oid, version, "a" + hashlib.sha256(str(place).encode()).hexdigest()[:16]
