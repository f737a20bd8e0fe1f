"""Other pages cannot use a person's browser against the operator."""

from __future__ import annotations

import random
import socket
import time
from contextlib import ExitStack

import pytest

from homeostat.web import guard, patience
from homeostat.web.api import BODY_BYTES_MAX
from tests.web import scenes
from tests.web.fake import KEY, FakeConsole
from tests.web.site import TOKEN, Site


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1:1", "127.0.0.1", ""]
)
def test_another_host_name_is_refused(site: Site, host: str) -> None:
    for path in ("/healthz", "/login?key=x", "/api/v1/status", "/static/app.css"):
        answer = site.request("GET", path, headers={"Host": host})
        assert answer.status == 403
    assert answer.headers["content-type"].startswith("text/html")
    said = site.request("GET", "/api/v1/status", headers={"Host": host}).json()
    assert said["kind"] == "RequestForbiddenError"


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_our_own_names_are_answered(site: Site, name: str) -> None:
    answer = site.request("GET", "/healthz", headers={"Host": f"{name}:{site.port}"})
    assert answer.status == 200


@pytest.mark.parametrize(
    "change",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_form_of_another_page_changes_nothing(
    site: Site, console: FakeConsole, change: dict[str, str]
) -> None:
    scenes.waiting(console)
    cookie = site.sign_in()
    answer = site.form(
        f"/db/{KEY}/remedies/1/approve", cookie=cookie, headers=change, csrf=site.csrf(cookie)
    )
    assert answer.status == 403
    assert console.remedy(1).remedy.state == "waiting"


@pytest.mark.parametrize("path", [f"/db/{KEY}/pause", "/api/v1/pause", "/logout"])
@pytest.mark.parametrize("csrf", ["", "wrong"])
def test_a_change_needs_the_token_of_the_page(
    site: Site, console: FakeConsole, path: str, csrf: str
) -> None:
    cookie = site.sign_in()
    assert site.form(path, cookie=cookie, csrf=csrf).status == 403
    assert not console.paused


def test_the_token_of_another_session_does_not_do(site: Site, console: FakeConsole) -> None:
    mine, other = site.sign_in(), site.sign_in()
    assert site.form(f"/db/{KEY}/pause", cookie=mine, csrf=site.csrf(other)).status == 403
    assert not console.paused


def test_a_script_of_our_page_may_change_by_header(site: Site, console: FakeConsole) -> None:
    cookie = site.sign_in()
    headers = {
        "Cookie": cookie,
        "Origin": site.server.url,
        "X-Homeostat-Csrf": site.csrf(cookie),
    }
    assert site.request("POST", "/api/v1/pause", body="{}", headers=headers).status == 200
    assert console.paused == {None}


def test_another_page_of_this_machine_cannot_read_or_hold_streams(site: Site) -> None:
    # pages on other ports of 127.0.0.1 are the same site to the browser, so the cookie comes along
    cookie = site.sign_in()
    for path in ("/api/v1/status", "/api/v1/events"):
        answer = site.page(path, cookie=cookie, headers={"Sec-Fetch-Site": "same-site"})
        assert answer.status == 403


@pytest.mark.parametrize("path", ["/", "/healthz", "/api/v1/status", "/static/app.css", "/nothing"])
def test_every_answer_carries_the_security_headers(site: Site, path: str) -> None:
    headers = site.request("GET", path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    assert "server" not in headers


def test_pages_are_not_kept_and_files_are(site: Site) -> None:
    cookie = site.sign_in()
    page = site.page(f"/db/{KEY}", cookie=cookie)
    assert page.headers["cache-control"] == "no-store"
    style = page.text.split('href="/static/app.css')[1].split('"')[0]
    kept = site.request("GET", f"/static/app.css{style}")
    assert "immutable" in kept.headers["cache-control"]


@pytest.mark.parametrize("path", ["/static/../auth.py", "/static/%2e%2e/auth.py"])
def test_nothing_but_static_files_is_given_away(site: Site, path: str) -> None:
    assert site.request("GET", path).status == 404


def test_a_body_has_a_limit(site: Site, console: FakeConsole) -> None:
    answer = site.program("POST", "/api/v1/pause", body={"database": "x" * BODY_BYTES_MAX})
    assert answer.status == 413
    assert answer.json()["kind"] == "RequestTooLargeError"
    assert not console.paused


def raw(site: Site, sent: bytes, *, seconds: float = 10.0) -> bytes:
    """Send these bytes; return what comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", site.port), seconds) as connection:
        connection.sendall(sent)
        return rest_of(connection)


def rest_of(connection: socket.socket) -> bytes:
    received = b""
    try:
        while chunk := connection.recv(65536):
            received += chunk
    except ConnectionResetError:
        pass
    return received


def post(site: Site, *, length: int) -> bytes:
    """Return the head of a change whose body is still to come."""
    head = f"POST /api/v1/pause HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\nConnection: close\r\n"
    head += f"Authorization: Bearer {TOKEN}\r\nContent-Length: {length}\r\n\r\n"
    return head.encode()


def test_who_sends_slowly_is_given_up_and_the_others_are_served(
    site: Site, console: FakeConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "BODY_SECONDS_MAX", 0.3)
    monkeypatch.setattr(patience, "HEAD_SECONDS_MAX", 0.3)
    body = post(site, length=1000) + b"{"
    head = post(site, length=0)[:60]
    with ExitStack() as stack:
        slow = {
            sent: stack.enter_context(socket.create_connection(("127.0.0.1", site.port), 10))
            for sent in (b"", head, body)
        }
        for sent, connection in slow.items():
            connection.sendall(sent)
        assert site.request("GET", "/healthz").status == 200
        assert rest_of(slow[b""]) == b""
        assert rest_of(slow[head]) == b""
        answer = rest_of(slow[body])
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"RequestSlowError" in answer
    assert not console.paused


def test_a_head_that_is_begun_after_an_answer_has_to_end_too(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "HEAD_SECONDS_MAX", 0.3)
    head = f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\n".encode()
    started = time.monotonic()
    assert raw(site, head + b"\r\n" + head).count(b"HTTP/1.1 200") == 1
    assert time.monotonic() - started < 5


def test_nothing_that_is_sent_makes_it_fail(
    site: Site, console: FakeConsole, caplog: pytest.LogCaptureFixture
) -> None:
    """Requests with a piece cut out, doubled or replaced get an answer below 500, or none."""
    chance = random.Random(20)
    whole = [
        post(site, length=2) + b"{}",
        post(site, length=2).replace(b"/pause", b"/remedies/1/approve") + b"{}",
        post(site, length=0).replace(b"POST", b"GET").replace(b"/pause", b"/series?database=x&a=b"),
        post(site, length=0).replace(b"POST", b"GET").replace(b"/api/v1/pause", b"/db/x/state+log"),
    ]
    junk = [
        b"\0",
        b"\r\n",
        b"%00",
        b"%ff",
        b"\xff",
        b"..",
        b"/",
        b"9" * 30,
        b"\x7f",
        b"{",
        b"&&=",
        b"+",
    ]
    for _ in range(150):
        request = chance.choice(whole)
        at = chance.randrange(len(request))
        to = min(len(request), at + chance.randrange(1, 12))
        piece = chance.choice([b"", request[at:to] * 3, *junk])
        with socket.create_connection(("127.0.0.1", site.port), 10) as connection:
            connection.sendall(request[:at] + piece + request[to:])
            connection.shutdown(socket.SHUT_WR)
            answer = rest_of(connection)
        assert not answer.startswith(b"HTTP/1.1 5"), (request, at, piece)
    assert "Traceback" not in caplog.text
    assert site.request("GET", "/healthz").status == 200


def test_a_head_has_a_limit(site: Site) -> None:
    answer = raw(site, b"GET / HTTP/1.1\r\nX: " + b"x" * 200_000)
    assert answer.startswith(b"HTTP/1.1 400") or not answer
    assert site.request("GET", "/healthz").status == 200
