"""No value of a statement or an error text gets past redaction; names do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeostat.driver.redact import redact, redact_message
from homeostat.driver.tokens import NUMBER, STRING, tokens

SECRET = "hunter2hunter2"
AROUND = st.text(alphabet=" '\"$\\:;-/*()=,a1\n", max_size=20)


def literal_forms(text: str) -> list[str]:
    doubled = text.replace("'", "''")
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return [
        f"'{doubled}'",
        f"E'{escaped}'",
        f"N'{doubled}'",
        f"U&'{doubled}'",
        f"$q${text.replace('$q$', '')}$q$",
    ]


@given(AROUND, AROUND, st.integers(0, 4))
def test_a_literal_never_survives(before: str, after: str, form: int) -> None:
    literal = literal_forms(before + SECRET + after)[form]
    redacted = redact(f"SELECT name FROM users WHERE token = {literal} AND age > 41 LIMIT 7")
    assert SECRET not in redacted
    assert redacted == "SELECT name FROM users WHERE token = ? AND age > ? LIMIT ?"


@given(st.text())
def test_what_is_left_holds_no_literal_and_is_stable(sql: str) -> None:
    once = redact(sql)
    assert not [token for token in tokens(once) if token.kind in {STRING, NUMBER}]
    assert redact(once) == once


@pytest.mark.parametrize(
    ("sql", "redacted"),
    [
        ("select * from t1 where a2=-1.5e3", "select * from t1 where a2=-?"),
        ("select $1, :name, x'00ff', 0xFF, .5, 1_000", "select $1, :name, ?, ?, ?, ?"),
        ("insert into t values ('a', 1), ('b', 2)", "insert into t values (?, ?), (?, ?)"),
        ("alter role bob password 'pw'", "alter role bob password ?"),
        ("/* user=bob */ select\n\t1 -- bob", "select ?"),
        ('select "Weird 1" from "a b"', 'select "Weird 1" from "a b"'),
        ("do $$ begin perform 'x'; end $$", "do ?"),
        ("select 'cut off in the mid", "select ?"),
        ("select 'a' 'b'", "select ? ?"),
    ],
)
def test_shape_is_kept(sql: str, redacted: str) -> None:
    assert redact(sql) == redacted


@pytest.mark.parametrize(
    ("message", "redacted"),
    [
        ('invalid input syntax for type uuid: "bob"', 'invalid input syntax for type uuid: "?"'),
        ('relation "users" does not exist', 'relation "users" does not exist'),
        (
            'duplicate key value violates unique constraint "users_email_key"',
            'duplicate key value violates unique constraint "users_email_key"',
        ),
        ("Key (email)=(bob@b.c) already exists.", "Key (email)=(?) already exists."),
        ('value "99999999999" is out of range', 'value "?" is out of range'),
        ('syntax error at or near "selec"', 'syntax error at or near "selec"'),
        ("syntax error at or near \"'bob'\"", 'syntax error at or near "?"'),
        ('near "bob\'s": syntax error', 'near "?": syntax error'),
        ("UNIQUE constraint failed: t1.email", "UNIQUE constraint failed: t1.email"),
        ("unrecognized token: \"'bob\"", 'unrecognized token: "?"'),
        ("table t2 has 3 columns", "table t2 has ? columns"),
    ],
)  # fmt: skip
def test_messages_keep_names_only(message: str, redacted: str) -> None:
    assert redact_message(message) == redacted


@given(AROUND, AROUND)
def test_a_quoted_value_never_survives_in_a_message(before: str, after: str) -> None:
    inside = (before + SECRET + after).replace('"', '""')
    for head in ("invalid input syntax for type integer: ", "value ", "at or near "):
        assert SECRET not in redact_message(f'{head}"{inside}"')
