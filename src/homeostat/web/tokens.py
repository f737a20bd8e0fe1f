"""Named tokens of other people and programs: a role each, an end if wanted, revoked at any time.

DATA/tokens.json (0600) holds a digest of each token, never the token: whoever reads the file can
not sign in with it. The file is read again when it changed, so a revoked token ends at once.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import threading
from pathlib import Path
from typing import get_args

import msgspec

from homeostat.clock import Clock
from homeostat.errors import NameTakenError, NotFoundError, RequestError, SecretError
from homeostat.operate.views import Role, TokenView

TOKENS_FILE = "tokens.json"
TOKENS_MAX = 1000
TOKEN_BYTES = 32
DAY_SECONDS = 86_400.0
PREFIX = "hs_"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")

ROLES: tuple[str, ...] = get_args(Role)  # each may what those before it may, but only agents report


class TokenRow(msgspec.Struct, frozen=True, kw_only=True):
    """A token as it is kept and shown.

    Attributes:
        name: who it was made for; what the audit log calls them.
        digest: SHA-256 of the token; 32 random bytes need no slow hash.
        created, expires: seconds since 1970 UTC; no end: null.
    """

    name: str
    role: Role
    digest: str
    created: float
    expires: float | None = None


def check_name(name: str) -> str:
    """Return a name that may stand in the audit log.

    Raises:
        RequestError: it has other characters, or is too long.
    """
    if not NAME.fullmatch(name):
        raise RequestError(
            "A name is up to 32 letters, digits, `-` and `_`, and begins with a letter or digit.",
            where=name[:40],
        )
    return name


class TokenBook:
    """The named tokens of one data directory; safe to use from any thread."""

    def __init__(self, directory: Path, *, clock: Clock) -> None:
        self._path = directory / TOKENS_FILE
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: tuple[int, int] | None = None
        self._rows: dict[str, TokenRow] = {}

    def find(self, token: str) -> TokenRow | None:
        """Return whose token this is; None: nobody's, or its time is over.

        Raises:
            SecretError: the file cannot be read.
        """
        if not token.startswith(PREFIX):
            return None
        digest = _digest(token)
        with self._lock:
            row = next((one for one in self._read().values() if one.digest == digest), None)
        return row if row is not None and self._is_good(row) else None

    def list(self) -> list[TokenView]:
        """Return the tokens that are good, by name."""
        with self._lock:
            rows = sorted(self._read().values(), key=lambda row: row.name)
        return [_view(row) for row in rows if self._is_good(row)]

    def create(self, name: str, role: Role, *, days: float | None = None) -> TokenView:
        """Make a token; the answer is the only place where it is ever shown.

        Args:
            name: of a person or program, see `check_name`.
            role: what it may.
            days: after which it ends; None: never.

        Raises:
            NameTakenError: the name has a token.
            RequestError: it is no name, or there are too many tokens.
            SecretError: the file cannot be written.
        """
        check_name(name)
        token = PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
        now = self._clock.now()
        row = TokenRow(
            name=name,
            role=role,
            digest=_digest(token),
            created=now,
            expires=None if days is None else now + days * DAY_SECONDS,
        )
        with self._lock:
            rows = {key: one for key, one in self._read().items() if self._is_good(one)}
            if name in rows:
                raise NameTakenError("This name has a token. Revoke it first.", where=name)
            if len(rows) >= TOKENS_MAX:
                raise RequestError(f"There are {TOKENS_MAX} tokens. Revoke some first.")
            self._write({**rows, name: row})
        return msgspec.structs.replace(_view(row), token=token)

    def revoke(self, name: str) -> TokenView:
        """End a token at once; return what it was.

        Raises:
            NotFoundError: there is none of this name.
        """
        with self._lock:
            rows = dict(self._read())
            row = rows.pop(name, None)
            if row is None:
                raise NotFoundError("No token has this name.", where=name)
            self._write(rows)
        return _view(row)

    def _is_good(self, row: TokenRow) -> bool:
        return row.expires is None or row.expires > self._clock.now()

    def _read(self) -> dict[str, TokenRow]:
        try:
            state = self._path.stat()
            seen = (state.st_mtime_ns, state.st_ino)
            if seen != self._seen:
                rows = msgspec.json.decode(self._path.read_bytes(), type=list[TokenRow])
                self._rows, self._seen = {row.name: row for row in rows}, seen
        except FileNotFoundError:
            self._rows, self._seen = {}, None
        except (OSError, msgspec.MsgspecError) as error:
            message = "The file of tokens cannot be read. Mend or delete it; tokens made then end."
            raise SecretError(message, where=str(self._path), detail=str(error)) from None
        return self._rows

    def _write(self, rows: dict[str, TokenRow]) -> None:
        draft = self._path.with_name(f"{TOKENS_FILE}.{os.getpid()}")
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                file.truncate()
                file.write(msgspec.json.encode(list(rows.values())))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path)
        except OSError as error:
            raise SecretError(where=str(self._path), detail=error.strerror or "") from None
        self._seen = None


def may(role: str, needed: str) -> bool:
    """Return whether a role includes another."""
    return ROLES.index(role) >= ROLES.index(needed)


def _view(row: TokenRow) -> TokenView:
    return TokenView(name=row.name, role=row.role, created=row.created, expires=row.expires)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
