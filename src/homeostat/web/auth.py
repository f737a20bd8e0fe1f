"""Who may talk to the operator: the bearer token, one-time sign-in links and signed sessions.

Programs send the token of the data directory. A person opens a link that works once; it becomes a
cookie that is signed with a key of the data directory, so a sign-in outlives a restart. Nothing
here stores a session: a cookie is good when its signature is and its time is not over. Deleting
the key ends every session. No secret is logged or put into an error.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import threading
from dataclasses import dataclass, field
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from homeostat.clock import Clock
from homeostat.config import WebConfig
from homeostat.errors import (
    RequestForbiddenError,
    RoleTooLowError,
    SecretError,
    SignInRequiredError,
)
from homeostat.operate.views import Role
from homeostat.web.tokens import TokenBook, check_name, may

KEY_FILE = "session.key"
KEY_BYTES = 32
LINKS_MAX = 64  # unused links; the oldest gives way
ACTOR_CHARACTERS_MAX = 64
CSRF_HEADER = "x-homeostat-csrf"
ACTOR_HEADER = "x-homeostat-actor"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who makes a request.

    Attributes:
        actor: the name for the audit log: `page`, what a program with the operator's own token
            calls itself, or the name of the token or link.
        session: the session of a browser; empty for a program with a token.
        role: what they may.
    """

    actor: str
    session: str = ""
    role: Role = "admin"

    def may(self, needed: Role) -> bool:
        """Return whether their role includes this one."""
        return may(self.role, needed)

    def need(self, needed: Role) -> None:
        """Refuse who has too small a role.

        Raises:
            RoleTooLowError: names both roles.
        """
        if not self.may(needed):
            message = f"This needs the role {needed}; yours is {self.role}. Ask an admin for it."
            raise RoleTooLowError(message)


PERSON = "page"  # what the audit log calls a browser that a link without a name signed in


@dataclass(frozen=True, slots=True)
class Link:
    """A sign-in link that was not used yet: until when, and who is signed in by it."""

    until: float
    actor: str = PERSON
    role: Role = "admin"


def read_key(directory: Path) -> bytes:
    """Return the key that signs sessions; make it at the first start, readable by its owner only.

    Raises:
        SecretError: the file cannot be read or written.
    """
    path = directory / KEY_FILE
    try:
        try:
            number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            key = path.read_bytes()
        else:
            key = secrets.token_bytes(KEY_BYTES)
            with os.fdopen(number, "wb") as file:
                file.write(key)
                file.flush()
                os.fsync(file.fileno())
    except OSError as error:
        raise SecretError(where=str(path), detail=error.strerror or "") from None
    if len(key) != KEY_BYTES:
        message = "The key that signs sessions is damaged. Delete it and start again."
        raise SecretError(message, where=str(path))
    return key


@dataclass(slots=True)
class Access:
    """Token, links and sessions of one operator; safe to use from any thread.

    Attributes:
        token: the operator's own, which its user's programs send as `Authorization: Bearer`.
        tokens: the named tokens of others.
        key: signs cookies, see `read_key`.
        port: where the page is; part of the cookie's name, since browsers share cookies between
            the ports of a host.
    """

    token: str
    key: bytes
    port: int
    config: WebConfig
    clock: Clock
    tokens: TokenBook
    _links: dict[str, Link] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def cookie(self) -> str:
        """The name of the session cookie."""
        return f"homeostat_{self.port}"

    @property
    def url(self) -> str:
        """The address of the page, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def new_link(self, *, actor: str = PERSON, role: Role = "admin") -> str:
        """Return a sign-in link that works once, within `link_seconds`.

        Args:
            actor: what the audit log calls who signs in by it.
            role: what they may.

        Raises:
            RequestError: the name has characters that it may not have.
        """
        check_name(actor)
        key = secrets.token_urlsafe(24)
        now = self.clock.now()
        with self._lock:
            self._links = {k: link for k, link in self._links.items() if link.until > now}
            while len(self._links) >= LINKS_MAX:
                del self._links[next(iter(self._links))]
            self._links[_digest(key)] = Link(now + self.config.link_seconds, actor, role)
        return f"{self.url}/login?key={key}"

    def use_link(self, key: str) -> Link | None:
        """Return the link if it is good, and make it good no more."""
        with self._lock:
            link = self._links.pop(_digest(key), None)
        return link if link is not None and link.until > self.clock.now() else None

    def start_session(self, response: Response, link: Link) -> None:
        """Sign the browser in as the link says."""
        seconds = int(self.config.session_hours * 3600)
        until = int(self.clock.now()) + seconds
        body = f"{secrets.token_urlsafe(9)}.{link.actor}.{link.role}.{until}"
        response.set_cookie(
            self.cookie,
            f"{body}.{self._sign('session', body)}",
            max_age=seconds,
            httponly=True,
            samesite="strict",
            path="/",
        )

    def session(self, request: Request) -> Visitor | None:
        """Return who the browser's cookie proves, or None."""
        value = request.cookies.get(self.cookie, "")
        body, _, signature = value.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._sign("session", body).encode()):
            return None
        match body.split("."):
            case [name, actor, "viewer" | "operator" | "admin" as role, until]:
                good = until.isdigit() and int(until) > self.clock.now()
                return Visitor(actor, name, role) if good else None
        return None

    def csrf(self, session: str) -> str:
        """Return what a page of this session must send along with every change."""
        return self._sign("csrf", session)

    def program(self, request: Request) -> Visitor | None:
        """Return the program that sent a token, or None when no token was sent.

        Raises:
            SignInRequiredError: a token was sent, and it is wrong.
        """
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if not scheme:
            return None
        given = given.strip() if scheme.lower() == "bearer" else ""
        other = self.tokens.find(given)
        if other is not None:  # it can't call itself otherwise
            return Visitor(other.name, role=other.role)
        if not hmac.compare_digest(given.encode(), self.token.encode()):
            message = (
                "The token is wrong, revoked or too old. Read it again from the operator's data "
                "directory, or ask an admin for a new one."
            )
            raise SignInRequiredError(message)
        named = request.headers.get(ACTOR_HEADER, "")[:ACTOR_CHARACTERS_MAX]
        return Visitor(named if named.isprintable() and named.strip() else "api")

    def visitor(self, request: Request) -> Visitor:
        """Return who makes the request.

        Raises:
            SignInRequiredError: neither a token nor a sign-in.
            RequestForbiddenError: another page made the browser send it.
        """
        program = self.program(request)
        if program is not None:
            return program
        person = self.session(request)
        if person is None:
            raise SignInRequiredError
        # the cookie is Strict, but a page on another port of this host counts as the same site
        if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
            raise RequestForbiddenError
        return person

    def reporter(self, request: Request) -> Visitor:
        """Return the program that reports for an application.

        Raises:
            SignInRequiredError: no token was sent, or a wrong one; a browser's sign-in is none.
            RoleTooLowError: the token is neither an agent's nor an admin's.
        """
        program = self.program(request)
        if program is None:
            message = (
                "An agent sends the token of the operator's data directory, or one of its own."
            )
            raise SignInRequiredError(message)
        if program.role not in {"agent", "admin"}:
            raise RoleTooLowError(f"An agent's token has the role agent; this is {program.role}.")
        return program

    def check_change(self, request: Request, visitor: Visitor, form_token: str = "") -> None:
        """Refuse a change that a browser was made to send by another page.

        Args:
            request: must come from our own origin.
            visitor: programs are not concerned, since no page can send their token.
            form_token: the token when it came in a form instead of a header.

        Raises:
            RequestForbiddenError: the origin or the token is missing or wrong.
        """
        if not visitor.session:
            return
        given = request.headers.get(CSRF_HEADER, "") or form_token
        own = f"http://{request.headers.get('host', '')}"
        if request.headers.get("origin") != own or not hmac.compare_digest(
            given.encode(), self.csrf(visitor.session).encode()
        ):
            raise RequestForbiddenError

    def _sign(self, purpose: str, text: str) -> str:
        digest = hmac.digest(self.key, f"{purpose}:{text}".encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _digest(key: str) -> str:
    """Return what is kept of a link, so that looking it up takes the same time for any guess."""
    return hashlib.sha256(key.encode()).hexdigest()
