"""A person sees that something is under way; a pipe gets nothing of it."""

from __future__ import annotations

import io

import pytest

from homeostat.cli.waiting import CLEAR, waiting
from tests.servers import wait_until


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_how_long_and_is_clean_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    screen = Terminal()
    with waiting("looking", stream=screen):
        wait_until(lambda: "looking: 1 s" in screen.getvalue(), 10, "the line")
    assert screen.getvalue().endswith(CLEAR)


def test_what_ends_at_once_and_a_pipe_get_nothing() -> None:
    screen, pipe = Terminal(), io.StringIO()
    with waiting("looking", stream=screen), waiting("looking", stream=pipe):
        pass
    assert (screen.getvalue(), pipe.getvalue()) == ("", "")
