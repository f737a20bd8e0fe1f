"""`:name` becomes `$n` where it is a parameter, and nothing else changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeostat.driver.placeholders import compile_named
from homeostat.driver.tokens import tokens

NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
INERT = st.one_of(
    st.text().map(lambda text: "'" + text.replace("'", "''") + "'"),
    st.text().map(lambda text: '"' + text.replace('"', '""') + '"'),
    st.text().map(lambda text: "E'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"),
    st.text(alphabet="a:b$'\"-/*").map(lambda text: f"$tag${text.replace('$tag$', '')}$tag$"),
    st.text(alphabet="a:b'\"$").map(lambda text: f"/* {text} /* :inner */ :after */"),
    st.text(alphabet="a:b'\"/*$").map(lambda text: f"-- {text}\n"),
    st.sampled_from(["a::int", "x := 1", "a[1:2]", "a[lo:hi]", "%", "%s", "%(x)s"]),
    st.integers(min_value=0).map(str),
)


@given(st.text())
def test_tokens_joined_are_the_text(sql: str) -> None:
    assert "".join(token.text for token in tokens(sql)) == sql


@given(st.lists(st.one_of(INERT, NAMES.map(lambda name: ("parameter", name)))))
def test_only_parameters_are_rewritten(pieces: list[str | tuple[str, str]]) -> None:
    numbers: dict[str, int] = {}
    source, wanted = [], []
    for piece in pieces:
        if isinstance(piece, tuple):
            source.append(f":{piece[1]}")
            wanted.append(f"${numbers.setdefault(piece[1], len(numbers) + 1)}")
        else:
            source.append(piece)
            wanted.append(piece)
    compiled = compile_named("\n".join(source))
    assert compiled.text.decode("utf-8", "surrogatepass") == "\n".join(wanted)
    assert compiled.names == tuple(numbers)


@pytest.mark.parametrize(
    ("sql", "text", "names"),
    [
        ("select :a, :b, :a", "select $1, $2, $1", ("a", "b")),
        ("select (:a)::int", "select ($1)::int", ("a",)),
        ("select :a::int", "select $1::int", ("a",)),
        ("select x[:a] from t", "select x[$1] from t", ("a",)),
        ("select x[lo:hi], :a from t", "select x[lo:hi], $1 from t", ("a",)),
        ("select x[(1):n] from t", "select x[(1):n] from t", ()),
        ("select array[1, :a]", "select array[1, $1]", ("a",)),
        ("select ':a', \":b\", $$:c$$ -- :d", "select ':a', \":b\", $$:c$$ -- :d", ()),
        ("select '{\"k\": 1}'::jsonb -> :key", "select '{\"k\": 1}'::jsonb -> $1", ("key",)),
        ("select a like '%x%' and b = :b", "select a like '%x%' and b = $1", ("b",)),
        ("select a$b:c from t", "select a$b$1 from t", ("c",)),
        ("select 'open :a", "select 'open :a", ()),
    ],
)
def test_cases(sql: str, text: str, names: tuple[str, ...]) -> None:
    compiled = compile_named(sql)
    assert (compiled.text.decode(), compiled.names) == (text, names)


@pytest.mark.parametrize(
    ("sql", "several"),
    [
        ("select 1;", False),
        ("select 1; -- done\n ;", False),
        ("select ';'; /* ; */", False),
        ("select 1; select 2", True),
        (";;select 1", True),
        ("create function f() returns int begin atomic select 1; select 2; end", False),
        ("create table a(); drop table b", True),
        ("select $$a; b$$", False),
    ],
)
def test_several_statements_are_seen(sql: str, *, several: bool) -> None:
    assert compile_named(sql).several is several
