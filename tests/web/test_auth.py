"""Only who has the token or a sign-in gets in, and a sign-in outlives a restart."""

from __future__ import annotations

import stat
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from homeostat.clock import ManualClock
from homeostat.config import WebConfig
from homeostat.errors import SecretError
from homeostat.web.auth import KEY_FILE, LINKS_MAX, read_key
from tests.web.fake import KEY, FakeConsole
from tests.web.site import TOKEN, Site, running_site


def path_of(link: str) -> str:
    split = urlsplit(link)
    return f"{split.path}?{split.query}"


@pytest.mark.parametrize(
    "path", ["/", f"/db/{KEY}", f"/db/{KEY}/parts/findings", "/databases", "/api/v1/status"]
)
def test_without_a_sign_in_nothing_is_shown(site: Site, path: str) -> None:
    answer = site.request("GET", path)
    assert answer.status == 401
    assert "shop.db" not in answer.text


def test_a_person_without_a_sign_in_is_told_how_to_get_one(site: Site) -> None:
    assert "homeostat link" in site.request("GET", "/").text


def test_a_link_signs_in_once(site: Site) -> None:
    path = path_of(site.access.new_link())
    first = site.request("GET", path)
    assert (first.status, first.headers["location"]) == (303, "/")
    assert site.page(f"/db/{KEY}", cookie=first.cookie).status == 200
    assert site.request("GET", path).status == 401


def test_a_used_link_still_leads_a_signed_in_browser_to_the_page(site: Site) -> None:
    path = path_of(site.access.new_link())
    cookie = site.request("GET", path).cookie
    again = site.page(path, cookie=cookie)
    assert (again.status, again.headers["location"]) == (303, "/")


def test_a_preview_of_a_link_does_not_use_it_up(site: Site) -> None:
    path = path_of(site.access.new_link())
    assert site.request("HEAD", path).status == 200
    assert site.request("GET", path).status == 303


def test_a_link_goes_stale(site: Site, clock: ManualClock) -> None:
    path = path_of(site.access.new_link())
    clock.advance(WebConfig().link_seconds + 1)
    assert site.request("GET", path).status == 401


def test_unused_links_do_not_pile_up(site: Site) -> None:
    first = site.access.new_link()
    rest = [site.access.new_link() for _ in range(LINKS_MAX)]
    assert site.request("GET", path_of(first)).status == 401
    assert site.request("GET", path_of(rest[-1])).status == 303


def test_a_click_in_another_site_signs_in_without_a_redirect(site: Site) -> None:
    # the browser would hold back the Strict cookie on the redirected request
    answer = site.request(
        "GET", path_of(site.access.new_link()), headers={"Sec-Fetch-Site": "cross-site"}
    )
    assert answer.status == 200
    assert 'http-equiv="refresh"' in answer.text
    assert site.page("/", cookie=answer.cookie).status == 303


def test_the_cookie_is_of_this_port_and_out_of_reach_of_scripts(site: Site) -> None:
    answer = site.request("GET", path_of(site.access.new_link()))
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"homeostat_{site.port}=")
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/" in cookie


def test_a_sign_in_outlives_a_restart(
    console: FakeConsole, clock: ManualClock, tmp_path: Path
) -> None:
    with running_site(console, tmp_path, clock=clock) as before:
        cookie = before.sign_in()
        port = before.port
    with running_site(console, tmp_path, clock=clock, port=port) as after:
        assert after.port == port
        assert after.page(f"/db/{KEY}", cookie=cookie).status == 200


def test_a_sign_in_ends(site: Site, clock: ManualClock) -> None:
    cookie = site.sign_in()
    clock.advance(WebConfig().session_hours * 3600 + 1)
    assert site.page(f"/db/{KEY}", cookie=cookie).status == 401


@pytest.mark.parametrize("change", ["longer", "name", "role", "signature", "none"])
def test_a_cookie_that_was_changed_is_worth_nothing(site: Site, change: str) -> None:
    name, value = site.sign_in().split("=", 1)
    session, actor, role, until, signature = value.split(".")
    assert (actor, role) == ("page", "admin")
    changed = {
        "longer": f"{session}.{actor}.{role}.{int(until) + 1}.{signature}",
        "name": f"x{session}.{actor}.{role}.{until}.{signature}",
        "role": f"{session}.{actor}.operator.{until}.{signature}",
        "signature": f"{session}.{actor}.{role}.{until}.{signature[:-1]}",
        "none": f"{session}.{actor}.{role}.{until}.",
    }[change]
    assert site.page(f"/db/{KEY}", cookie=f"{name}={changed}").status == 401


def test_signing_out_forgets_the_cookie(site: Site) -> None:
    cookie = site.sign_in()
    answer = site.form("/logout", cookie=cookie, csrf=site.csrf(cookie))
    assert answer.status == 303
    assert f'homeostat_{site.port}=""' in answer.headers["set-cookie"]


@pytest.mark.parametrize("sent", ["Bearer wrong", f"Basic {TOKEN}", "Bearer ", TOKEN])
def test_a_wrong_token_is_refused_and_not_repeated(site: Site, sent: str) -> None:
    answer = site.request("GET", "/api/v1/status", headers={"Authorization": sent})
    assert answer.status == 401
    assert answer.json()["kind"] == "SignInRequiredError"
    assert TOKEN not in answer.text


def test_the_token_opens_the_api_but_no_page(site: Site) -> None:
    assert site.program("GET", "/api/v1/status").status == 200
    assert site.program("GET", f"/db/{KEY}").status == 401


def test_a_program_gets_a_link_for_a_person(site: Site) -> None:
    link = site.program("POST", "/api/v1/link").json()["url"]
    assert link.startswith(f"{site.server.url}/login?key=")
    assert site.request("GET", path_of(link)).status == 303


def test_the_key_is_its_owners_only(tmp_path: Path) -> None:
    key = read_key(tmp_path)
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600
    assert read_key(tmp_path) == key


def test_a_damaged_key_is_said_so(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_bytes(b"short")
    with pytest.raises(SecretError, match="Delete it"):
        read_key(tmp_path)
