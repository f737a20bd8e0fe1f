"""The operator's HTTP API as seen from the command line, on this machine only.

Speaks JSON with the bearer token from the data directory; answers are decoded into the shapes of
`operate.views`. It sends the token to no other machine and follows no redirect.
"""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from homeostat import errors
from homeostat.cli.place import OperatorFile, alive, read_operator, read_token
from homeostat.errors import HomeostatError, NotFoundError, OperateError, OperatorUnreachableError
from homeostat.logbook.rows import Finding, RemedyRecord
from homeostat.operate.insights import Proposals
from homeostat.operate.views import CloneView, Explained, RemedyView, Status, TokenView

TIMEOUT_SECONDS = 5.0
COPY_SECONDS_MAX = 3600.0
ANSWER_BYTES_MAX = 32_000_000
LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})
T = TypeVar("T")


class ErrorAnswer(msgspec.Struct, frozen=True):
    """What the API answers with a 4xx or 5xx."""

    error: str
    kind: str = ""


class LinkAnswer(msgspec.Struct, frozen=True):
    """A sign-in link, good once."""

    url: str


class Client:
    """The running operator of one data directory."""

    def __init__(self, data: Path, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        """Find the operator; nothing is sent yet.

        Args:
            data: its data directory.
            timeout_seconds: how long one answer may take.

        Raises:
            OperatorUnreachableError: none runs here, or its process is gone.
            SecretError: its token cannot be read safely.
        """
        self.operator: OperatorFile = read_operator(data)
        if not alive(self.operator.pid):
            raise OperatorUnreachableError(
                f"The operator (pid {self.operator.pid}) is no longer running. "
                "Start it again with `homeostat up URL`.",
                where=str(data),
            )
        split = urlsplit(self.operator.url)
        if split.scheme != "http" or split.hostname not in LOCAL or split.port is None:
            raise OperatorUnreachableError(
                "operator.json names no address on this machine, so the token was not sent. "
                "Start the operator again.",
                where=str(data),
            )
        self._token = read_token(data)
        self._host, self._port = split.hostname, split.port
        self._timeout_seconds = timeout_seconds

    def ping(self) -> None:
        """Return when the operator answers.

        Raises:
            OperatorUnreachableError: it does not.
        """
        self._exchange("GET", "/healthz", None, self._timeout_seconds)

    def status(self) -> Status:
        """Return the state of everything."""
        return self._ask("GET", "/api/v1/status", Status)

    def findings(self) -> list[Finding]:
        """Return the open findings."""
        return self._ask("GET", "/api/v1/findings", list[Finding])

    def remedies(self, *, database: str | None = None) -> list[RemedyRecord]:
        """Return the remedies of a database or of all, the newest first."""
        query = _query(database=database) if database else ""
        return self._ask("GET", f"/api/v1/remedies{query}", list[RemedyRecord])

    def remedy(self, number: int) -> RemedyView:
        """Return one remedy with all that belongs to it."""
        return self._ask("GET", f"/api/v1/remedies/{number}", RemedyView)

    def proposals(self, database: str, *, start: float, end: float) -> Proposals:
        """Return what was found in a period, and what was or would have been done about it."""
        query = _query(database=database, start=start, end=end)
        return self._ask("GET", f"/api/v1/proposals{query}", Proposals)

    def explain(self, name: str) -> Explained:
        """Return what is known of a statement."""
        return self._ask("GET", f"/api/v1/explain/{_part(name)}", Explained)

    def decide(self, number: int, decision: str) -> RemedyView:
        """Approve, reject or revert a remedy."""
        path = f"/api/v1/remedies/{number}/{quote(decision)}"
        return self._ask("POST", path, RemedyView, body={})

    def pause(self, database: str | None) -> None:
        """Let nothing more be applied, to one database or to all."""
        self._ask("POST", "/api/v1/pause", object, body={"database": database})

    def resume(self, database: str | None) -> None:
        """Let remedies be applied again."""
        self._ask("POST", "/api/v1/resume", object, body={"database": database})

    def detach(self, database: str) -> None:
        """Let a database go."""
        self._ask("POST", "/api/v1/detach", object, body={"database": database})

    def set_autonomy(self, remedy: str, autonomy: str) -> None:
        """Set what a remedy may do by itself until the operator restarts."""
        body = {"remedy": remedy, "autonomy": autonomy}
        self._ask("POST", "/api/v1/autonomy", object, body=body)

    def clones(self, *, database: str | None = None) -> list[CloneView]:
        """Return the clones of a database or of all, the newest first."""
        query = _query(database=database) if database else ""
        path = f"/api/v1/clones{query}"
        return self._ask("GET", path, list[CloneView], seconds=COPY_SECONDS_MAX)

    def create_clone(self, database: str | None, *, hours: float | None) -> CloneView:
        """Copy a database; the answer comes when it is done."""
        body = {"database": database, "hours": hours}
        path = "/api/v1/clones"
        return self._ask("POST", path, CloneView, body=body, seconds=COPY_SECONDS_MAX)

    def drop_clone(self, name: str) -> CloneView:
        """Remove a clone; return what it was."""
        if not name or "/" in name:  # no clone is called so, and no address leads there
            raise NotFoundError(
                "There is no clone of this name. `homeostat clone list` shows them."
            )
        path = f"/api/v1/clones/{_part(name)}/drop"
        return self._ask("POST", path, CloneView, body={}, seconds=COPY_SECONDS_MAX)

    def link(self, *, name: str = "page", role: str = "admin") -> str:
        """Return a new sign-in link for the page, good once, for somebody with a role."""
        body = {"name": name, "role": role}
        return self._ask("POST", "/api/v1/link", LinkAnswer, body=body).url

    def tokens(self) -> list[TokenView]:
        """Return the named tokens that are good."""
        return self._ask("GET", "/api/v1/tokens", list[TokenView])

    def create_token(self, name: str, role: str, *, days: float | None) -> TokenView:
        """Make a named token; only this answer shows it."""
        body = {"name": name, "role": role, "days": days}
        return self._ask("POST", "/api/v1/tokens", TokenView, body=body)

    def revoke_token(self, name: str) -> TokenView:
        """End a named token."""
        path = f"/api/v1/tokens/{_part(name)}/revoke"
        return self._ask("POST", path, TokenView, body={})

    def _ask(
        self,
        method: str,
        path: str,
        shape: type[T],
        *,
        body: Mapping[str, object] | None = None,
        seconds: float | None = None,
    ) -> T:
        status, answer = self._exchange(method, path, body, seconds or self._timeout_seconds)
        if status >= 400:
            raise _error(status, answer)
        if not answer and shape is object:
            return shape()
        try:
            return msgspec.json.decode(answer, type=shape)
        except msgspec.MsgspecError as error:
            raise OperateError(
                "The operator answers in another shape than this version knows. Restart it with "
                "the version of this command.",
                where=self.operator.url,
                detail=str(error),
            ) from None

    def _exchange(
        self, method: str, path: str, body: Mapping[str, object] | None, seconds: float
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=seconds)
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(
                method, path, None if body is None else msgspec.json.encode(body), headers
            )
            response = connection.getresponse()
            answer = response.read(ANSWER_BYTES_MAX + 1)
        except TimeoutError:
            detail = f"no answer within {seconds:g} s"
            raise self._unreachable(detail, asked=method == "POST") from None
        except (OSError, http.client.HTTPException) as error:
            detail = getattr(error, "strerror", None) or str(error) or type(error).__name__
            sent = method == "POST" and not isinstance(error, ConnectionRefusedError)
            raise self._unreachable(detail.lower(), asked=sent) from None
        finally:
            connection.close()
        if len(answer) > ANSWER_BYTES_MAX:
            raise OperateError(
                f"The answer is larger than {ANSWER_BYTES_MAX} bytes. Ask for one database.",
                where=self.operator.url,
            )
        return response.status, answer

    def _unreachable(self, detail: str, *, asked: bool) -> OperatorUnreachableError:
        message = (
            f"The operator's process (pid {self.operator.pid}) is there but does not answer. If it "
            "has just started, wait some seconds; if not, end it and start it again."
        )
        if asked:
            message = (
                "The operator was asked but did not answer to the end, so whether it was done is "
                "not known. Look with `homeostat status` before asking again."
            )
        return OperatorUnreachableError(message, where=self.operator.url, detail=detail)


def _part(name: str) -> str:
    """Return a name as part of an address."""
    return quote(name, safe="")


def _query(**given: object) -> str:
    return "?" + urlencode(given)


def _error(status: int, answer: bytes) -> HomeostatError:
    """Return the error that the operator raised, of the same class as there."""
    try:
        said = msgspec.json.decode(answer, type=ErrorAnswer)
    except msgspec.MsgspecError:
        said = ErrorAnswer(error="")
    kind = getattr(errors, said.kind, None)
    if not (isinstance(kind, type) and issubclass(kind, HomeostatError)):
        kind = OperateError
    if status == 401:
        message = "The operator does not accept this token. Restart the operator."
        return OperatorUnreachableError(message, detail=said.error)
    if not said.error:
        return kind(f"The operator answered {status}. Its log says why.")
    return kind(said.error)
