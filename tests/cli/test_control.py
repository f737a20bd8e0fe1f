from __future__ import annotations

import pytest

from tests.cli.stage import Described, Run_, database, status


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_all_databases_or_one_by_a_part_of_its_label(
    homeostat: Run_, operator: Described, command: str
) -> None:
    operator.status = status(database("one"), database("two"))
    assert homeostat(command).code == 0
    assert homeostat(command, "two/users").code == 0
    assert operator.posted == [(command, {"database": None}), (command, {"database": "two"})]


def test_pause_says_how_it_ends(homeostat: Run_, operator: Described) -> None:
    assert "next: homeostat resume" in homeostat("pause").out


def test_a_name_that_fits_several_or_none_changes_nothing(
    homeostat: Run_, operator: Described
) -> None:
    operator.status = status(database("one"), database("two"))
    several = homeostat("detach", "users.db")
    none = homeostat("detach", "three")
    assert (several.code, none.code) == (1, 1)
    assert "fits 2 databases" in several.err
    assert "one (/srv/one/users.db)" in none.err
    assert operator.posted == []


def test_detach_names_the_key(homeostat: Run_, operator: Described) -> None:
    operator.status = status(database("one"), database("two"))
    assert homeostat("detach", "/srv/one/users.db").code == 0
    assert operator.posted == [("detach", {"database": "one"})]


def test_link_prints_the_link_alone(homeostat: Run_, operator: Described) -> None:
    assert homeostat("link").out == "http://127.0.0.1:1/sign-in?link=once\n"


def test_json_tells_what_was_done(homeostat: Run_, operator: Described) -> None:
    operator.status = status(database("one"), database("two"))
    assert homeostat("pause", "--json").json() == {"done": "paused", "database": None}
    assert homeostat("resume", "two/users", "--json").json() == {
        "done": "resumed",
        "database": "two",
    }
    assert homeostat("detach", "one", "--json").json() == {"done": "detached", "database": "one"}
    link = homeostat("link", "--name", "alice", "--role", "viewer", "--json").json()
    assert link["url"].startswith("http://127.0.0.1:")
    assert (link["name"], link["role"]) == ("alice", "viewer")
