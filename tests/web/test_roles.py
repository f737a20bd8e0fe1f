"""Who may what: named tokens and links with a role, on the API and on the page."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from starlette.routing import Route

from homeostat.clock import ManualClock
from homeostat.operate.views import Role, TokenView
from homeostat.web.api import ROUTES
from homeostat.web.tokens import TOKENS_FILE
from tests.web import scenes
from tests.web.fake import KEY, FakeConsole
from tests.web.site import Answer, Site, running_site

VALUES = {"id": "1", "decision": "approve", "name": "nobody", "key": KEY, "way": "on"}
BODIES: dict[str, object] = {
    "/api/v1/autonomy": {"remedy": "grow-pool", "autonomy": "observe"},
    "/api/v1/detach": {"database": KEY},
    "/api/v1/tokens": {"name": "somebody", "role": "viewer"},
}
ROLES: tuple[Role, ...] = ("agent", "viewer", "operator", "admin")


@pytest.fixture(autouse=True)
def no_tokens(site: Site) -> None:
    for one in site.access.tokens.list():
        site.access.tokens.revoke(one.name)


def make(site: Site, name: str, role: str, **more: object) -> TokenView:
    made = site.program("POST", "/api/v1/tokens", body={"name": name, "role": role, **more})
    assert made.status == 200, made.text
    return made.decode(TokenView)


def ask(site: Site, token: str | None, method: str, path: str, body: object = None) -> Answer:
    return site.request(
        method,
        path,
        body=b"" if body is None else json.dumps(body),
        headers={
            "Content-Type": "application/json",
            "X-Homeostat-Actor": "somebody-else",
            **({} if token is None else {"Authorization": f"Bearer {token}"}),
        },
    )


def enter(site: Site, actor: str, role: Role) -> str:
    split = urlsplit(site.access.new_link(actor=actor, role=role))
    return site.request("GET", f"{split.path}?{split.query}").cookie


@pytest.mark.parametrize("role", [None, *ROLES])
def test_a_role_may_what_it_says_and_no_more_on_every_route(
    site: Site, console: FakeConsole, role: Role | None
) -> None:
    token = None if role is None else make(site, "alice", role).token
    for one in ROUTES:
        console.reset()
        scenes.waiting(console)
        path = re.sub(r"{(\w+)}", lambda found: VALUES[found[1]], one.path)
        if one.media == "text/event-stream":  # HEAD, for the stream has no end
            answer = ask(site, token, "HEAD", path)
        else:
            answer = ask(site, token, one.method, path, BODIES.get(one.path))
        if one.role is None:
            expected = {"none"}
        elif role is None:
            expected = {"SignInRequiredError"}
        elif one.programs_only:
            expected = {"none"} if role in {"agent", "admin"} else {"RoleTooLowError"}
        else:
            enough = ROLES.index(role) >= ROLES.index(one.role)
            expected = {"none"} if enough else {"RoleTooLowError"}
        refused = {401: "SignInRequiredError", 403: "RoleTooLowError"}.get(answer.status, "none")
        assert {refused} == expected, (role, one.method, one.path, answer.text)
        if refused == "RoleTooLowError" and not one.programs_only and answer.body:
            assert f"needs the role {one.role}; yours is {role}" in answer.json()["error"]


def pages(site: Site) -> list[tuple[str, str]]:
    """Return method and path of every page and form."""
    api = {one.path for one in ROUTES}
    found = []
    for one in site.app.routes:
        path = re.sub(r":\w+}", "}", one.path) if isinstance(one, Route) else ""
        if isinstance(one, Route) and not {path, path.replace("}", ":path}")} & api:
            path = re.sub(r"{(\w+)}", lambda name: VALUES.get(name[1], "detach"), path)
            found += [(method, path) for method in one.methods or () if method != "HEAD"]
    return found


def test_no_page_and_no_form_is_for_strangers(site: Site, console: FakeConsole) -> None:
    scenes.waiting(console)
    assert len(pages(site)) > 5
    for method, path in pages(site):
        answer = site.request(method, path, headers={"Origin": site.server.url})
        assert answer.status == 401, (method, path)
    assert console.keys == [KEY]


def test_a_viewer_may_open_every_page_and_send_no_form(site: Site, console: FakeConsole) -> None:
    scenes.waiting(console)
    cookie = enter(site, "alice", "viewer")
    csrf = site.csrf(cookie)
    for method, path in pages(site):
        if method == "GET":
            assert site.page(path, cookie=cookie).status in {200, 303, 404}, path
        elif path != "/logout":
            assert site.form(path, cookie=cookie, csrf=csrf).status == 403, path
    assert console.keys == [KEY]
    assert console.remedy(1).remedy.state == "waiting"


def test_a_token_signs_with_its_own_name(site: Site, console: FakeConsole) -> None:
    scenes.waiting(console)
    token = make(site, "night-shift", "operator").token
    assert ask(site, token, "POST", "/api/v1/remedies/1/approve").status == 200
    assert console.remedy(1).remedy.decided_by == "night-shift"


def test_only_agents_and_admins_report(site: Site) -> None:
    answers = {
        role: ask(site, make(site, role, role).token, "POST", "/agent/v1/report", {"v": 1})
        for role in ROLES
    }
    kinds = {role: answer.json()["kind"] for role, answer in answers.items()}
    assert kinds == {
        "agent": "InvalidRequestError",  # past the door: the report is not whole
        "viewer": "RoleTooLowError",
        "operator": "RoleTooLowError",
        "admin": "InvalidRequestError",
    }


def test_a_revoked_token_ends_at_once(site: Site) -> None:
    token = make(site, "alice", "viewer").token
    assert ask(site, token, "GET", "/api/v1/status").status == 200
    assert site.program("POST", "/api/v1/tokens/alice/revoke").status == 200
    assert ask(site, token, "GET", "/api/v1/status").status == 401
    assert site.program("POST", "/api/v1/tokens/alice/revoke").status == 404


def test_a_token_ends_at_its_time(site: Site, clock: ManualClock) -> None:
    token = make(site, "alice", "viewer", days=7).token
    clock.advance(7 * 86_400 - 1)
    assert ask(site, token, "GET", "/api/v1/status").status == 200
    clock.advance(2)
    assert ask(site, token, "GET", "/api/v1/status").status == 401
    assert site.program("GET", "/api/v1/tokens").json() == []
    make(site, "alice", "viewer")  # the name is free again


def test_the_file_of_tokens_opens_nothing(
    console: FakeConsole, tmp_path: Path, clock: ManualClock
) -> None:
    with running_site(console, tmp_path, clock=clock) as site:
        see_what_the_file_opens(site, tmp_path / TOKENS_FILE)


def see_what_the_file_opens(site: Site, file: Path) -> None:
    token = make(site, "alice", "admin").token
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    text = file.read_text()
    assert token is not None
    assert token not in text
    for word in re.findall(r'"digest":"(\w+)"', text):
        assert ask(site, word, "GET", "/api/v1/status").status == 401
        assert ask(site, "hs_" + word, "GET", "/api/v1/status").status == 401


def test_what_a_token_may_be_called(site: Site) -> None:
    for name in ("", "with space", "a" * 33, "-dash", "<b>"):
        answer = site.program("POST", "/api/v1/tokens", body={"name": name, "role": "viewer"})
        assert answer.status == 422, name
    make(site, "alice", "viewer")
    again = site.program("POST", "/api/v1/tokens", body={"name": "alice", "role": "admin"})
    assert (again.status, again.json()["kind"]) == (409, "NameTakenError")
    assert "Revoke it first" in again.json()["error"]


def test_making_and_revoking_is_in_the_audit_log(site: Site, console: FakeConsole) -> None:
    make(site, "alice", "viewer")
    site.program("POST", "/api/v1/tokens/alice/revoke")
    entries = [(entry.action, entry.subject) for entry in console.audit()]
    assert ("create token", "alice") in entries
    assert ("revoke token", "alice") in entries


def test_a_viewer_sees_everything_and_no_button(site: Site, console: FakeConsole) -> None:
    scenes.waiting(console)
    cookie = enter(site, "alice", "viewer")
    page = site.page(f"/db/{KEY}", cookie=cookie)
    assert page.status == 200
    assert "Signed in as alice, who may read everything" in page.text
    actions = set(re.findall(r'<form method="post" action="([^"]+)"', page.text))
    assert actions == {"/logout"}
    refused = site.form(f"/db/{KEY}/remedies/1/approve", cookie=cookie, csrf=site.csrf(cookie))
    assert refused.status == 403
    assert console.remedy(1).remedy.decided_by == ""


def test_an_operator_decides_and_does_not_govern(site: Site, console: FakeConsole) -> None:
    scenes.waiting(console)
    cookie = enter(site, "bob", "operator")
    page = site.page(f"/db/{KEY}", cookie=cookie)
    actions = set(re.findall(r'<form method="post" action="([^"]+)"', page.text))
    assert {action.rsplit("/", 1)[1] for action in actions} == {
        "logout",
        "approve",
        "reject",
        "pause",
    }
    for change in ("detach", "autonomy"):
        refused = site.form(f"/db/{KEY}/{change}", cookie=cookie, csrf=site.csrf(cookie))
        assert refused.status == 403
    site.form(f"/db/{KEY}/remedies/1/approve", cookie=cookie, csrf=site.csrf(cookie))
    assert console.remedy(1).remedy.decided_by == "bob"
