"""Every error that Homeostat raises on purpose.

HomeostatError
├── ConfigError
├── SecretError
├── DatabaseError
│   ├── ConnectError
│   │   ├── HostNotFoundError
│   │   ├── ServerUnreachableError
│   │   ├── ServerStartingError
│   │   ├── AuthenticationError
│   │   ├── TlsError
│   │   ├── DatabaseMissingError
│   │   ├── PermissionRefusedError
│   │   ├── PoolerRefusedError
│   │   └── TooManyConnectionsError
│   ├── NotADatabaseError
│   ├── EncryptedDatabaseError
│   ├── CorruptDatabaseError
│   ├── ReadOnlyDatabaseError
│   ├── DatabaseLockedError
│   ├── DiskFullError
│   ├── StorageError
│   ├── OpenedTwiceError
│   ├── ConnectionLostError
│   ├── CommitUnknownError
│   ├── UnsupportedVersionError
│   ├── UnsupportedError
│   ├── CloneRefusedError
│   ├── PoolerFileError
│   └── StatementError
│       ├── DeadlineExceededError
│       ├── StatementCancelledError
│       ├── SerializationError
│       ├── RightMissingError
│       └── ConstraintError
├── AccessError
│   ├── PoolTimeoutError
│   ├── OverloadedError
│   ├── PoolClosedError
│   ├── OperationUnknownError
│   ├── PageTokenError
│   ├── ReadTokenError
│   ├── ReplicaBehindError
│   ├── BudgetExceededError
│   ├── IdempotencyKeyReusedError
│   ├── IdempotencyNotPreparedError
│   └── ScopeRefusedError
├── LogbookError
│   ├── LogbookFullError
│   ├── LogbookLockedError
│   ├── LogbookCorruptError
│   ├── LogbookNewerError
│   ├── OwnedElsewhereError
│   ├── LeaseExpiredError
│   └── OwnershipLostError
├── OperateError
│   ├── NotFoundError
│   ├── DecisionRefusedError
│   ├── OperatorUnreachableError
│   │   └── ReportRefusedError
│   └── DemoRefusedError
└── RequestError
    ├── InvalidRequestError
    ├── MediaTypeError
    ├── RequestTooLargeError
    ├── RequestSlowError
    ├── SignInRequiredError
    ├── RequestForbiddenError
    ├── RoleTooLowError
    ├── NameTakenError
    └── TooManyRequestsError
        └── TooManyStreamsError

A class's docstring is its default message; its second sentence says what to do next. `where` names
the database, file or setting (never a password); `detail` is the driver's own text, redacted.
"""

from __future__ import annotations

import inspect
from typing import Any


class HomeostatError(Exception):
    """Homeostat could not do what was asked. Run the command again with --help to see its use."""

    def __init__(self, message: str | None = None, *, where: str = "", detail: str = "") -> None:
        """Take the docstring as the message unless one is given.

        Args:
            message: a full sentence that replaces the default, with what to do next.
            where: the database, file or setting the error is about; no secrets.
            detail: the underlying text, already redacted.
        """
        self.where = where
        self.detail = detail
        self.message = message or inspect.cleandoc(type(self).__doc__ or "").replace("\n", " ")
        super().__init__(self.message)

    def __str__(self) -> str:
        """Return `where: message (detail)` with the empty parts left out."""
        head = f"{self.where}: " if self.where else ""
        tail = f" ({self.detail})" if self.detail else ""
        return f"{head}{self.message}{tail}"


class ConfigError(HomeostatError):
    """The configuration is wrong. Correct the named setting; docs/reference/config.md lists all."""


class SecretError(HomeostatError):
    """The secret could not be read. Check the variable, 0600 file or command that it refers to."""


class DatabaseError(HomeostatError):
    """The database reported an error. Read the detail; `homeostat status` shows its health."""


class ConnectError(DatabaseError):
    """The database cannot be reached. Check the URL, then that the server is running."""


class HostNotFoundError(ConnectError):
    """The host name does not resolve. Check the host part of the URL and the name service."""


class ServerUnreachableError(ConnectError):
    """Nothing answers at this address. Check host, port, firewall and that the server runs."""


class ServerStartingError(ConnectError):
    """The server is starting up or shutting down. Wait some seconds and try again."""


class AuthenticationError(ConnectError):
    """The server refused the user or password. Check the user and where the password comes from."""


class TlsError(ConnectError):
    """TLS is required, refused or not trusted. Set sslmode (and sslrootcert) in the URL."""


class DatabaseMissingError(ConnectError):
    """The database does not exist. Create it, or check the database name or path in the URL."""


class PermissionRefusedError(ConnectError):
    """Access to the database or file is not permitted. Grant the right, or run as its owner."""


class PoolerRefusedError(ConnectError):
    """This is a PgBouncer that refuses session settings. Give the server's own address."""


class TooManyConnectionsError(ConnectError):
    """The server has no connection left. Close some, or raise max_connections."""


class NotADatabaseError(DatabaseError):
    """The file is not an SQLite database. Check the path; an encrypted file needs its key."""


class EncryptedDatabaseError(DatabaseError):
    """The file is encrypted; its key is missing or wrong. Refer to it by `key` or `--key-from`."""


class CorruptDatabaseError(DatabaseError):
    """The database is damaged. Stop writing to it and restore the last proven backup."""


class ReadOnlyDatabaseError(DatabaseError):
    """The database is read-only here. Check file and directory rights, or use the primary."""


class DatabaseLockedError(DatabaseError):
    """The database stayed locked by another connection. Retry, or end the holder of the lock."""


class DiskFullError(DatabaseError):
    """There is no space left for the database. Free disk space; nothing was half written."""


class StorageError(DatabaseError):
    """The disk failed to read or write the database. Check the disk and the kernel's log."""


class OpenedTwiceError(DatabaseError):
    """This process has the file open through another library too. Close that one first."""


class ConnectionLostError(DatabaseError):
    """The connection broke before the statement was committed. It is safe to try again."""

    undone = False  # whether a statement that commits by itself certainly had no effect


class CommitUnknownError(DatabaseError):
    """The connection broke after COMMIT was sent. Ask the database, or use an idempotency key."""


class UnsupportedVersionError(DatabaseError):
    """This version of the database is not supported. Use PostgreSQL 14 to 18 or SQLite 3."""


class UnsupportedError(DatabaseError):
    """This database cannot do what was asked. Read the detail for what would make it possible."""


class CloneRefusedError(DatabaseError):
    """No clone was made. Mend the cause named, or change the [clone] settings; nothing is left."""


class PoolerFileError(DatabaseError):
    """PgBouncer's file cannot be used. Check its path, its rights and its [databases] section."""


class StatementError(DatabaseError):
    """The database refused the statement. Correct the statement; the detail names the place."""


class DeadlineExceededError(StatementError):
    """The statement ran past its deadline and was stopped. Raise the deadline or the speed."""


class StatementCancelledError(StatementError):
    """The statement was cancelled. Run it again if it is still wanted."""


class SerializationError(StatementError):
    """A concurrent transaction got in the way. Run the whole transaction again."""


class RightMissingError(StatementError):
    """The role lacks a right for this statement. Grant it; the detail names the object."""


class ConstraintError(StatementError):
    """A constraint refused the change. Correct the values; the detail names the constraint."""


class AccessError(HomeostatError):
    """The data path refused the call. Read the detail."""


class PoolTimeoutError(AccessError):
    """No connection became free in time. Retry later; `homeostat status` names who holds them."""

    def __init__(
        self,
        message: str | None = None,
        *,
        where: str = "",
        detail: str = "",
        holders: tuple[tuple[str, float], ...] = (),
    ) -> None:
        """Take who holds the connections: (operation, seconds held), the longest first."""
        self.holders = holders
        super().__init__(message, where=where, detail=detail)


class OverloadedError(AccessError):
    """More is asked than the database can serve. Retry after `retry_after_seconds`, with jitter."""

    def __init__(
        self,
        message: str | None = None,
        *,
        where: str = "",
        detail: str = "",
        retry_after_seconds: float = 1.0,
    ) -> None:
        """Take when those who wait now will have been served."""
        self.retry_after_seconds = retry_after_seconds
        super().__init__(message, where=where, detail=detail)


class PoolClosedError(AccessError):
    """The database handle is closed. Open it again with Database.open."""


class OperationUnknownError(AccessError):
    """No operation of this name is registered. Register it, or correct the name."""


class IdempotencyKeyReusedError(AccessError):
    """This idempotency key was used for another request. Take a new key for each request."""


class IdempotencyNotPreparedError(AccessError):
    """The database has no table for idempotency keys. Call Database.prepare_idempotency once."""


class PageTokenError(AccessError):
    """This is no token of a page of this operation. Begin with the first page."""


class ReadTokenError(AccessError):
    """This is no read token of this database. Take one with read_token after the write."""


class ReplicaBehindError(AccessError):
    """The replica has not come as far as the read token in time. Ask the primary, or retry."""


class BudgetExceededError(AccessError):
    """The operation returns more rows than its budget. Narrow it, or read it in pages."""


class ScopeRefusedError(AccessError):
    """The caller may not touch this scope. Ask with a caller whose scopes include it."""


class LogbookError(HomeostatError):
    """The logbook failed, so nothing will be applied. The managed database is untouched."""


class LogbookFullError(LogbookError):
    """The disk under the logbook is full, so nothing will be applied. Free space under --data."""


class LogbookLockedError(LogbookError):
    """Another program has the logbook locked, so nothing will be applied. Close that program."""


class LogbookCorruptError(LogbookError):
    """The logbook is damaged, so nothing will be applied. Move it away and start again."""


class LogbookNewerError(LogbookError):
    """A newer Homeostat wrote this logbook. Upgrade Homeostat, or use another --data directory."""


class OwnedElsewhereError(LogbookError):
    """Another operator runs this database. Use that one, or stop it first."""

    tenure: Any = None  # the logbook's Tenure of who holds it


class LeaseExpiredError(LogbookError):
    """The lease ran out before it could be renewed, so nothing is applied. It renews by itself."""


class OwnershipLostError(LogbookError):
    """Another operator took over while this one was stopped. This one changes nothing more."""


class OperateError(HomeostatError):
    """The operator could not do this. Read the detail; `homeostat status` shows the state."""


class NotFoundError(OperateError):
    """There is nothing of this number or name. List what exists, then try again."""


class DecisionRefusedError(OperateError):
    """This cannot be decided now. `homeostat remedy show` tells the state and what is possible."""


class OperatorUnreachableError(OperateError):
    """No operator answers. Start one with `homeostat up URL`."""


class ReportRefusedError(OperatorUnreachableError):
    """The operator cannot take this report, so it was dropped. Use one version for both."""


class DemoRefusedError(OperateError):
    """The database is not empty and not the demo's own. Give an empty one; nothing was changed."""


class RequestError(HomeostatError):
    """The request is not one that this API takes. docs/reference/routes.md lists all routes."""


class InvalidRequestError(RequestError):
    """A value is not what this route takes. The detail names it; see docs/reference/routes.md."""


class MediaTypeError(RequestError):
    """The body is not declared to be JSON. Send the header `Content-Type: application/json`."""


class RequestTooLargeError(RequestError):
    """The request body is too large. Send less at once; docs/reference/api.md names the limits."""


class RequestSlowError(RequestError):
    """The request body did not come in time. Send it at once, or less of it."""


class SignInRequiredError(RequestError):
    """This needs a sign-in. Send the bearer token, or open a new sign-in link in the browser."""


class RequestForbiddenError(RequestError):
    """This request does not come from Homeostat's own page, so it was refused. Reload the page."""


class RoleTooLowError(RequestError):
    """Your role does not include this. Ask an admin for a token or link that does."""


class NameTakenError(RequestError):
    """Something of this name exists already. Take another name, or end that one first."""


class TooManyRequestsError(RequestError):
    """Too many requests wait already. Try again in a second, and ask less often."""


class TooManyStreamsError(TooManyRequestsError):
    """Too many event streams are open. Close some pages of this operator, then try again."""
