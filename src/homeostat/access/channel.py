"""How an agent finds and reaches the operator: two small files, then one kept-alive connection.

An operator on this machine writes `operator.json` (its URL) and `token` into its data directory.
Both are read again at each connect, so a restart on another port is found. The token is believed
only if nobody else could have written or read it: directory and files must be the user's own, the
token closed to everyone else. For other users or hosts HOMEOSTAT_URL and HOMEOSTAT_TOKEN say the
same. A channel never waits longer than its time-out at a time and never runs on the data path.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401  a fork while the first connect imports it leaves it broken
import http.client
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from homeostat.access.protocol import REPORT_PATH
from homeostat.config import data_directory
from homeostat.errors import OperatorUnreachableError, ReportRefusedError, SecretError

REPLY_BYTES_MAX = 1_000_000
FILE_BYTES_MAX = 64_000
LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_OK = 200
_UNACCEPTABLE = {400, 413, 415, 422}  # sending the same again would be answered the same


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an operator listens. Not shown in full: the token is a secret."""

    secure: bool
    host: str
    port: int
    token: str

    def __repr__(self) -> str:
        """Return the address without the token."""
        return f"Endpoint({self.host}:{self.port})"


class _Found(msgspec.Struct):
    """What the agent needs of operator.json."""

    url: str
    pid: int = 0


def discover(directory: Path | None) -> Endpoint:
    """Return where the operator is: the given directory, else the environment, else the default.

    Raises:
        OperatorUnreachableError: there is none, or its files can't be read.
        SecretError: others could read or change the token.
    """
    if directory is None and "HOMEOSTAT_URL" in os.environ:
        return _endpoint(
            os.environ["HOMEOSTAT_URL"],
            os.environ.get("HOMEOSTAT_TOKEN", ""),
            where="HOMEOSTAT_URL",
        )
    directory = directory or data_directory()
    _check_directory(directory)
    file = directory / "operator.json"
    try:
        found = msgspec.json.decode(_read(file, private=False), type=_Found)
    except msgspec.DecodeError as error:
        raise OperatorUnreachableError(where=str(file), detail=str(error)) from None
    if found.pid and not Path(f"/proc/{found.pid}").exists() and Path("/proc/self").exists():
        # whoever listens on that port now is somebody else, and must not get the token
        message = "The operator has ended. Start it with `homeostat up URL`."
        raise OperatorUnreachableError(message, where=str(directory))
    token = _read(directory / "token", private=True).decode("ascii", "replace").strip()
    endpoint = _endpoint(found.url, token, where=str(file))
    if endpoint.host not in LOOPBACK:
        message = "The operator's file names another host. Set HOMEOSTAT_URL for that."
        raise OperatorUnreachableError(message, where=str(file))
    return endpoint


def _endpoint(url: str, token: str, *, where: str) -> Endpoint:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise OperatorUnreachableError(where=where, detail=str(error)) from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise OperatorUnreachableError("The operator's URL is no http URL.", where=where)
    if not token or not token.isprintable() or " " in token:
        raise SecretError("The operator's token is empty or damaged.", where=where)
    secure = parts.scheme == "https"
    return Endpoint(secure, parts.hostname, port or (443 if secure else 80), token)


def _check_directory(directory: Path) -> None:
    try:
        status = directory.stat()
    except OSError as error:
        raise OperatorUnreachableError(where=str(directory), detail=error.strerror or "") from None
    _check_rights(directory, status, forbidden=0o077, command="chmod 700")


def _read(file: Path, *, private: bool) -> bytes:
    """Read a small file of our own; a private one must be closed to others."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise OperatorUnreachableError(where=str(file), detail=error.strerror or "") from None
    with os.fdopen(descriptor, "rb") as stream:
        status = os.fstat(descriptor)
        _check_rights(
            file,
            status,
            forbidden=0o077 if private else 0o022,
            command="chmod 600" if private else "chmod go-w",
        )
        return stream.read(FILE_BYTES_MAX)


def _check_rights(path: Path, status: os.stat_result, *, forbidden: int, command: str) -> None:
    if status.st_uid != os.geteuid():
        message = (
            f"It belongs to user {status.st_uid}, not to this process's user {os.geteuid()}. "
            "Run both as one user, or set HOMEOSTAT_URL and HOMEOSTAT_TOKEN."
        )
        raise SecretError(message, where=str(path))
    if stat.S_IMODE(status.st_mode) & forbidden:
        mode = f"{stat.S_IMODE(status.st_mode):o}"
        message = f"Others may use it (mode {mode}), so it is not trusted. Run `{command} {path}`."
        raise SecretError(message, where=str(path))


class Channel:
    """One connection to the operator; for one thread."""

    def __init__(self, directory: Path | None, *, timeout_seconds: float) -> None:
        """Connect lazily; `directory` None: see `discover`."""
        self._directory = directory
        self._timeout_seconds = timeout_seconds
        self._connection: http.client.HTTPConnection | None = None
        self._token = ""

    def post(self, body: bytes) -> bytes:
        """Post a report and return the answer.

        A connection that the operator closed while it lay idle is opened again once.

        Raises:
            OperatorUnreachableError: nothing, or nothing usable, answered in time.
            ReportRefusedError: it answered that it can't take such a report.
            SecretError: the token can't be trusted.
        """
        if self._connection is not None:
            try:
                return self._post(self._connection, body)
            except ConnectionError:  # closed while it lay idle
                self.close()
            except BaseException:
                self.close()
                raise
        connection = self._connect()
        try:
            return self._post(connection, body)
        except ConnectionError as error:
            self.close()
            message = "The operator hung up without an answer."
            raise OperatorUnreachableError(message, detail=str(error)) from None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close; the next post looks for the operator anew."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        endpoint = discover(self._directory)
        kind = http.client.HTTPSConnection if endpoint.secure else http.client.HTTPConnection
        connection = kind(endpoint.host, endpoint.port, timeout=self._timeout_seconds)
        try:
            connection.connect()
        except OSError as error:
            raise OperatorUnreachableError(
                where=f"{endpoint.host}:{endpoint.port}", detail=error.strerror or str(error)
            ) from None
        self._connection, self._token = connection, endpoint.token
        return connection

    def _post(self, connection: http.client.HTTPConnection, body: bytes) -> bytes:
        where = f"{connection.host}:{connection.port}"
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        try:
            connection.request("POST", REPORT_PATH, body, headers)
            response = connection.getresponse()
            answer = response.read(REPLY_BYTES_MAX)
        except TimeoutError:
            message = f"The operator did not answer within {self._timeout_seconds:g} s."
            raise OperatorUnreachableError(message, where=where) from None
        except ConnectionError:
            raise
        except (OSError, http.client.HTTPException) as error:
            detail = f"{type(error).__name__}: {error}"[:200]
            raise OperatorUnreachableError(where=where, detail=detail) from None
        if response.status == _OK:
            return answer
        detail = f"HTTP {response.status} {answer[:200].decode('utf-8', 'replace')}"
        kind = ReportRefusedError if response.status in _UNACCEPTABLE else OperatorUnreachableError
        raise kind(where=where, detail=detail)
