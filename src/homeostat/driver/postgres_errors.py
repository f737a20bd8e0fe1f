"""What PostgreSQL's and libpq's errors mean to a person: the mapping to homeostat.errors.

Statements fail with an SQLSTATE (appendix A of PostgreSQL's manual). A connection that fails has
only a text: libpq's and PgBouncer's own are English, the server's may be translated, and one that
is not recognised becomes a ConnectError with that text.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from homeostat.driver.redact import redact_message
from homeostat.errors import (
    AuthenticationError,
    ConnectError,
    ConnectionLostError,
    ConstraintError,
    CorruptDatabaseError,
    DatabaseError,
    DatabaseLockedError,
    DatabaseMissingError,
    DiskFullError,
    HostNotFoundError,
    PermissionRefusedError,
    PoolerRefusedError,
    ReadOnlyDatabaseError,
    RightMissingError,
    SerializationError,
    ServerStartingError,
    ServerUnreachableError,
    StatementCancelledError,
    StatementError,
    StorageError,
    TlsError,
    TooManyConnectionsError,
)

QUERY_CANCELED = "57014"
ADMIN_SHUTDOWN = "57P01"  # what ran was rolled back: what had committed was told before

_STATES: dict[str, type[DatabaseError]] = {
    "25006": ReadOnlyDatabaseError,
    "25P03": ConnectionLostError,  # idle_in_transaction_session_timeout
    "25P04": ConnectionLostError,  # transaction_timeout
    "28000": AuthenticationError,
    "28P01": AuthenticationError,
    "40001": SerializationError,
    "40P01": SerializationError,
    "42501": RightMissingError,
    "53100": DiskFullError,
    "53300": TooManyConnectionsError,
    "55006": DatabaseLockedError,
    "55P03": DatabaseLockedError,
    "57014": StatementCancelledError,
    "57P01": ConnectionLostError,
    "57P02": ConnectionLostError,
    "57P03": ServerStartingError,
    "57P05": ConnectionLostError,
    "58030": StorageError,
    "58P01": StorageError,
    "XX001": CorruptDatabaseError,
    "XX002": CorruptDatabaseError,
}
_CLASSES: dict[str, type[DatabaseError]] = {
    "08": ConnectionLostError,
    "23": ConstraintError,
    "58": StorageError,
}


class _Case(NamedTuple):
    """A text that a failed connection shows, and the error it means; no message: the default."""

    pattern: re.Pattern[str]
    kind: type[ConnectError]
    message: str | None = None


def _case(pattern: str, kind: type[ConnectError], message: str | None = None) -> _Case:
    return _Case(re.compile(pattern, re.IGNORECASE), kind, message)


_PLAIN_REFUSED = _case(
    r"pg_hba\.conf.*no encryption",
    TlsError,
    "The server does not let this user in without TLS. Set sslmode=require in the URL; if that "
    "fails too, add a line for user, database and address to pg_hba.conf.",
)
# in this order: the first that is found decides
_CONNECT = (
    _case(
        r"unsupported startup parameter",
        PoolerRefusedError,
        "This is a PgBouncer that refuses session settings. Give the server's own address for "
        "monitoring; applications may go through the pooler.",
    ),
    _case(
        r"no pg_hba\.conf entry|pg_hba\.conf rejects",
        PermissionRefusedError,
        "The server's pg_hba.conf has no line that lets this user in from this address. Add one, "
        "then reload the server.",
    ),
    _case(
        r"no password supplied|empty password",
        AuthenticationError,
        "The server wants a password and none was given. Put it in a pgpass file or PGPASSWORD, "
        "or give a reference such as env:NAME.",
    ),
    _case(
        r"password authentication failed|SASL authentication failed|wrong password type",
        AuthenticationError,
        "The server refused the password, or knows no such user. Check the user in the URL and "
        "where the password comes from.",
    ),
    _case(
        r'role ".*" does not exist|no such user',
        AuthenticationError,
        "The server knows no such user. Check the user in the URL, or create the role.",
    ),
    _case(
        r'role ".*" is not permitted to log in',
        AuthenticationError,
        "The role may not log in. Use another user, or ALTER ROLE ... LOGIN.",
    ),
    _case(r"(authentication|peer|ident|certificate authentication) failed", AuthenticationError),
    _case(
        r"does not support SSL, but SSL was required",
        TlsError,
        "The server offers no TLS, but the URL requires it. Turn TLS on at the server, or set "
        "sslmode=disable if the network is trusted.",
    ),
    _case(
        r"root certificate file .* does not exist|certificate verify failed|unable to get local"
        r"|server certificate for|certificate has expired|self-signed certificate",
        TlsError,
        "The server's certificate is not trusted. Give the authority's certificate by sslrootcert "
        "in the URL and check that the host name is the certificate's.",
    ),
    _case(r"\bSSL error\b|SSL connection has been closed|SSL SYSCALL|certificate", TlsError),
    _case(r'database ".*" does not exist|no such database', DatabaseMissingError),
    _case(
        r"permission denied for database|not currently accepting connections",
        PermissionRefusedError,
        "The server does not let this user into this database. GRANT CONNECT, or use another one.",
    ),
    _case(
        r"too many clients|connection slots are reserved|too many connections for"
        r"|no more connections allowed|max_client_conn|server_login_retry",
        TooManyConnectionsError,
    ),
    _case(
        r"is starting up|is shutting down|in recovery mode|not yet accepting connections",
        ServerStartingError,
    ),
    _case(
        r"could not translate host name|failed to resolve host|name or service not known"
        r"|nodename nor servname|temporary failure in name resolution|no address associated",
        HostNotFoundError,
    ),
    _case(
        r"connection refused",
        ServerUnreachableError,
        "Nothing listens at this address. Check host and port, and that the server runs.",
    ),
    _case(
        r"timeout expired|timed out",
        ServerUnreachableError,
        "The address did not answer in time. Check host, port and firewall, and whether the "
        "server is overloaded or frozen.",
    ),
    _case(r"no route to host|network is unreachable|host is down", ServerUnreachableError),
    _case(
        r"no such file or directory",
        ServerUnreachableError,
        "No server listens on this local socket. Give host and port in the URL, or start it.",
    ),
    _case(
        r"invalid response to SSL negotiation|expected authentication request|protocol"
        r"|server closed the connection unexpectedly|connection reset",
        ServerUnreachableError,
        "Something answers at this address, but not as a PostgreSQL that is ready. Check the port, "
        "and the server's log.",
    ),
)


def connect_error(text: str, *, where: str, tls_off: bool = False) -> ConnectError:
    """Return the error for a connection that could not be opened.

    Args:
        text: libpq's message; may hold one line for each address that was tried.
        where: the label.
        tls_off: the client did not try TLS (sslmode=disable).
    """
    detail = redact_message(_shortened(text))
    for case in (_PLAIN_REFUSED, *_CONNECT) if tls_off else _CONNECT:
        if case.pattern.search(text):
            return case.kind(case.message, where=where, detail=detail)
    return ConnectError(where=where, detail=detail)


def _shortened(text: str) -> str:
    """Return the last line that says something, without libpq's head."""
    lines = [line.strip(" -\t") for line in text.splitlines() if line.strip()]
    said = [line for line in lines if not line.lower().startswith("is the server running")]
    return re.sub(r"^connection .*?failed: +(FATAL: +)?", "", said[-1]) if said else ""


def statement_error(state: str | None, message: str, *, where: str) -> DatabaseError:
    """Return the error for a statement that the server refused.

    Args:
        state: the SQLSTATE; None when the client refused it.
        message: the primary message, in any language.
        where: the label.
    """
    kind = _STATES.get(state or "") or _CLASSES.get((state or "")[:2], StatementError)
    detail = redact_message(message)
    return kind(where=where, detail=f"{state}: {detail}" if state else detail)
