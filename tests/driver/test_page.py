"""docs/reference/engines.md has every error that the drivers can tell apart."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from homeostat import errors
from homeostat.driver import postgres_errors, sqlite_errors

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "engines.md").read_text("utf-8")
MESSAGES = [
    *(case.message for case in postgres_errors._CONNECT if case.message),
    *(message for _, message in sqlite_errors._SPECIAL.values()),
]


@pytest.mark.parametrize("message", sorted(set(MESSAGES)))
def test_every_message_has_a_row(message: str) -> None:
    assert re.split(r"(?<=[.;]) ", message)[0] in PAGE


def test_every_error_named_there_exists() -> None:
    named = set(re.findall(r"`(\w+Error)`", PAGE))
    assert named <= set(dir(errors))
    databases = {
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.DatabaseError)
    }
    unlisted = {"DatabaseError", "ConstraintError", "StatementCancelledError"}
    assert databases - unlisted <= named
