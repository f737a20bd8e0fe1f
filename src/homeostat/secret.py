"""Secrets by reference: where a password or key comes from, read anew at each use.

A Secret is written `env:NAME`, `file:PATH`, `command:PROGRAM ARGUMENTS` or `pgpass`; what a person
typed at a prompt is held in memory only. Neither repr nor str shows a value, and no error does.
It never writes a secret anywhere.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from homeostat.errors import SecretError

HIDDEN = "***"
COMMAND_SECONDS_MAX = 10
FILE_BYTES_MAX = 65_536

_KINDS = ("env", "file", "command")
_PASSWORD_KEYS = frozenset({"password", "sslpassword", "key"})
_HOST = re.compile(r"(\[[^\]]*\]|[^:@/]*)(:[0-9]*)?(,(\[[^\]]*\]|[^:@/,]*)(:[0-9]*)?)*\Z")


class Secret:
    """Where a secret comes from. Compares equal to one of the same origin."""

    __slots__ = ("_kind", "_text")

    def __init__(self, kind: str, text: str) -> None:
        """Use `parse` or `typed`."""
        self._kind = kind
        self._text = text

    @classmethod
    def parse(cls, reference: str) -> Secret:
        """Return the secret for `env:NAME`, `file:PATH`, `command:...` or `pgpass`.

        Raises:
            SecretError: it is none of these; the text is not repeated, since it may be a password.
        """
        if reference == "pgpass":
            return cls("pgpass", "")
        kind, colon, text = reference.partition(":")
        if not colon or kind not in _KINDS or not text.strip():
            message = (
                "A secret is given by reference, not by value. Write env:NAME, file:PATH, "
                "command:PROGRAM or pgpass."
            )
            raise SecretError(message)
        return cls(kind, text.strip())

    @classmethod
    def typed(cls, value: str) -> Secret:
        """Return a secret that a person gave at a prompt; it lives as long as the process."""
        return cls("typed", value)

    @property
    def reference(self) -> str:
        """Return the text that `parse` takes (safe to show and keep); empty for a typed one."""
        if self._kind == "typed":
            return ""
        return self._kind if self._kind == "pgpass" else f"{self._kind}:{self._text}"

    def resolve(self) -> str | None:
        """Return the value now; None means that libpq looks it up (pgpass file, PGPASSWORD).

        Raises:
            SecretError: it cannot be read; the message says what to do.
        """
        if self._kind == "typed":
            return self._text
        if self._kind == "pgpass":
            return None
        if self._kind == "env":
            return _from_environment(self._text)
        if self._kind == "file":
            return _from_file(Path(self._text).expanduser())
        return _from_command(self._text)

    def __repr__(self) -> str:
        """Return stars."""
        return HIDDEN

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        """Compare where they come from."""
        if not isinstance(other, Secret):
            return NotImplemented
        return (self._kind, self._text) == (other._kind, other._text)

    def __hash__(self) -> int:
        """Hash as compared."""
        return hash((self._kind, self._text))


def decode_hook(kind: type, value: Any) -> Any:
    """Let msgspec read a Secret from a string (`dec_hook`); it adds the setting's path.

    Raises:
        ValueError: what is there is no reference; the value is not repeated.
    """
    if kind is not Secret:
        message = f"{kind.__name__} is not known here"
        raise TypeError(message)
    try:
        return Secret.parse(value if isinstance(value, str) else "")
    except SecretError as error:
        raise ValueError(error.message) from None


def encode_hook(value: Any) -> Any:
    """Let msgspec write a Secret as its reference (`enc_hook`)."""
    if isinstance(value, Secret):
        return value.reference
    message = f"{type(value).__name__} cannot be written"
    raise TypeError(message)


def split_password(url: str) -> tuple[str, str | None]:
    """Return the URL without any password or key, and the password (decoded) if it held one.

    A URL whose password was not percent-encoded loses everything before its last `@`.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url, None
    rest, mark, query = rest.partition("?")
    password: str | None = None
    authority, slash, path = rest.partition("/")
    userinfo, at, host = authority.rpartition("@")
    unclear = "@" in query and (":" in userinfo or "=" not in query)
    if unclear or "@" in path or not _HOST.match(host):
        after = (rest + mark + query).rpartition("@")[2]  # cannot be read: keep what is safe
        return f"{scheme}://{after if '@' in rest + query else ''}", None
    user, colon, coded = userinfo.partition(":")
    if colon:
        password = unquote(coded)
    kept = []
    for item in query.split("&") if query else []:
        name, _, value = item.partition("=")
        if name.lower() in _PASSWORD_KEYS:
            password = unquote(value) if name.lower() != "sslpassword" else password
        else:
            kept.append(item)
    tail = f"?{'&'.join(kept)}" if kept else ""
    return f"{scheme}://{user}{at}{host}{slash}{path}{tail}", password


def without_password(url: str) -> str:
    """Return the URL without any password or key."""
    return split_password(url)[0]


def with_password(url: str, password: str | None) -> str:
    """Return a `postgresql://` URL with the password put in; None leaves it as it is."""
    if password is None:
        return url
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    if not slash:
        authority, slash, path = rest.partition("?")
    userinfo, at, host = authority.rpartition("@")
    user = userinfo.partition(":")[0]
    if at:
        return f"{scheme}://{user}:{quote(password, safe='')}@{host}{slash}{path}"
    joint = "&" if "?" in rest else "?"
    return f"{url}{joint}password={quote(password, safe='')}"


def _from_environment(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        message = "The environment variable is not set. Set it, then start Homeostat again."
        raise SecretError(message, where=f"env:{name}")
    return value


def _from_file(path: Path) -> str:
    where = f"file:{path}"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        message = "The secret's file cannot be read. Check its path and rights."
        raise SecretError(message, where=where, detail=error.strerror or "") from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise SecretError("This is not a plain file. Check the path.", where=where)
    with os.fdopen(descriptor, "rb") as file:
        if status.st_mode & 0o077 or status.st_uid != os.geteuid():
            message = (
                "Others may read the secret's file. Make it yours alone: "
                f"chown {os.geteuid()} {path}; chmod 600 {path}"
            )
            raise SecretError(message, where=where)
        return _text(file.read(FILE_BYTES_MAX + 1), where)


def _from_command(command: str) -> str:
    where = f"command:{command}"
    try:
        done = subprocess.run(  # noqa: S603  the command is the person's own configuration
            shlex.split(command), capture_output=True, timeout=COMMAND_SECONDS_MAX, check=False
        )
    except (OSError, ValueError) as error:
        message = "The secret's command cannot be started. Check that it is installed."
        raise SecretError(message, where=where, detail=type(error).__name__) from None
    except subprocess.TimeoutExpired:
        message = f"The secret's command took over {COMMAND_SECONDS_MAX} s. Run it by hand first."
        raise SecretError(message, where=where) from None
    if done.returncode != 0:
        message = f"The secret's command ended with code {done.returncode}. Run it by hand first."
        raise SecretError(message, where=where)
    return _text(done.stdout, where)


def _text(raw: bytes, where: str) -> str:
    """Return the text without the line's end; what it holds is in no message."""
    if len(raw) > FILE_BYTES_MAX:
        raise SecretError("This is too long for a secret. Check the reference.", where=where)
    try:
        value = raw.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        message = "The secret is not UTF-8 text. Check the reference."
        raise SecretError(message, where=where) from None
    if not value or "\n" in value:
        message = "The secret is empty or has several lines. Give exactly one line."
        raise SecretError(message, where=where)
    return value
