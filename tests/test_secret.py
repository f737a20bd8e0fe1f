"""A secret is read where it refers to, and shown nowhere."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeostat import secret
from homeostat.errors import SecretError
from homeostat.secret import Secret, split_password, with_password, without_password


def test_environment_is_read_at_each_use(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = Secret.parse("env:HOMEOSTAT_TEST_SECRET")
    with pytest.raises(SecretError, match="not set"):
        reference.resolve()
    monkeypatch.setenv("HOMEOSTAT_TEST_SECRET", "one")
    assert reference.resolve() == "one"
    monkeypatch.setenv("HOMEOSTAT_TEST_SECRET", "two")
    assert reference.resolve() == "two"


def test_file_must_be_the_users_alone(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("s3cret\n")
    path.chmod(0o640)
    with pytest.raises(SecretError, match="chmod 600") as refused:
        Secret.parse(f"file:{path}").resolve()
    assert "s3cret" not in str(refused.value)
    path.chmod(0o600)
    assert Secret.parse(f"file:{path}").resolve() == "s3cret"


@pytest.mark.parametrize("content", ["", "\n", "one\ntwo\n", "\udcff", "x" * 70_000])
def test_file_that_holds_no_single_line_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "password"
    path.write_bytes(content.encode(errors="surrogateescape"))
    path.chmod(0o600)
    with pytest.raises(SecretError):
        Secret.parse(f"file:{path}").resolve()


def test_directory_and_missing_file_are_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(SecretError) as refused:
            Secret.parse(f"file:{path}").resolve()
        assert str(path) in str(refused.value)


def test_command_gives_its_output() -> None:
    assert Secret.parse("command:printf '%s' 'a b'").resolve() == "a b"
    with pytest.raises(SecretError, match="code 3") as refused:
        Secret.parse("command:sh -c 'echo hidden; echo hidden >&2; exit 3'").resolve()
    assert "hidden" not in refused.value.message
    with pytest.raises(SecretError, match="installed"):
        Secret.parse("command:no-such-program-here").resolve()


def test_pgpass_leaves_it_to_libpq() -> None:
    assert Secret.parse("pgpass").resolve() is None


def test_a_value_in_place_of_a_reference_is_refused_and_not_repeated() -> None:
    with pytest.raises(SecretError) as refused:
        Secret.parse("hunter2")
    assert "hunter2" not in str(refused.value)


def test_a_secret_shows_stars() -> None:
    typed = Secret.typed("hunter2")
    assert [str(typed), repr(typed), f"{typed}"] == ["***"] * 3
    assert typed.reference == ""
    assert typed.resolve() == "hunter2"


def test_msgspec_reads_and_writes_references() -> None:
    class Section(msgspec.Struct):
        password: Secret

    section = msgspec.convert({"password": "env:NAME"}, Section, dec_hook=secret.decode_hook)
    assert section.password == Secret.parse("env:NAME")
    assert msgspec.to_builtins(section, enc_hook=secret.encode_hook) == {"password": "env:NAME"}
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.convert({"password": 5}, Section, dec_hook=secret.decode_hook)
    assert "password" in str(refused.value)


@pytest.mark.parametrize(
    ("url", "bare", "password"),
    [
        ("postgresql://u:p%40w@h:5432/d?a=b", "postgresql://u@h:5432/d?a=b", "p@w"),
        ("postgresql://h/d?password=x&user=u", "postgresql://h/d?user=u", "x"),
        ("postgresql://u@[::1]:5432/d", "postgresql://u@[::1]:5432/d", None),
        ("postgresql://u:p@h1:1,h2:2/d", "postgresql://u@h1:1,h2:2/d", "p"),
        ("sqlite:///a/b.db?key=x", "sqlite:///a/b.db", "x"),
        ("/home/u@h/app.db", "/home/u@h/app.db", None),
    ],
)  # fmt: skip
def test_password_is_split_off(url: str, bare: str, password: str | None) -> None:
    assert split_password(url) == (bare, password)


@given(st.text(alphabet="abc:/?#@%&=[] ", min_size=1).map(lambda tail: f"hunter2{tail}hunter2"))
def test_a_badly_written_password_is_never_kept(password: str) -> None:
    assert "hunter2" not in without_password(f"postgresql://user:{password}@host:5432/database")


@given(st.text(min_size=1))
def test_a_password_put_in_comes_out(password: str) -> None:
    for url in ("postgresql://u@h:1/d?a=b", "postgresql://h/d", "postgresql://u@h"):
        assert split_password(with_password(url, password)) == (url, password)
