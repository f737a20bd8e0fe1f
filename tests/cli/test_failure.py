from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.stage import EXECUTABLE, Described, Run_, announce, environment, remedy
from tests.patience import SECONDS_MAX, joined


def gone() -> int:
    """Return the id of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait(SECONDS_MAX)
    return process.pid


@contextmanager
def listener(*, answers: bytes | None = None) -> Iterator[str]:
    """Listen and never answer, or answer every connection with these bytes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def run() -> None:
            server.settimeout(0.05)
            kept = []
            while not stop.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                kept.append(connection)
                if answers is not None:
                    connection.recv(65_536)
                    connection.sendall(answers)
                    connection.close()
            for connection in kept:
                connection.close()

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            stop.set()
            joined(thread)


@pytest.mark.parametrize(
    "words",
    [
        ("remedy", "approve", "3"),
        ("remedy", "reject", "3"),
        ("remedy", "revert", "3"),
        ("pause",),
        ("resume",),
        ("detach", "x"),
        ("link",),
    ],
)
def test_nothing_is_decided_without_an_operator(
    homeostat: Run_, data: Path, words: tuple[str, ...]
) -> None:
    said = homeostat(*words)
    assert said.code == 1
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert "homeostat up" in said.err
    assert "nothing was changed" in said.err
    assert said.err.count("\n") == 1


def test_an_operator_that_died_is_told_from_one_that_does_not_answer(
    homeostat: Run_, data: Path
) -> None:
    pid = gone()
    announce(data, url="http://127.0.0.1:1", pid=pid)
    assert f"pid {pid}) is no longer running" in homeostat("pause").err
    announce(data, url="http://127.0.0.1:1")
    refused = homeostat("pause").err
    assert f"pid {os.getpid()}) is there but does not answer" in refused
    assert "connection refused" in refused


@pytest.mark.slow
def test_a_frozen_operator_is_given_up_after_a_while(homeostat: Run_, data: Path) -> None:
    with listener() as url:
        announce(data, url=url)
        started = time.monotonic()
        said = homeostat("pause")
    assert said.code == 1
    assert "no answer within" in said.err
    assert time.monotonic() - started < 15


def test_a_token_that_others_can_read_is_not_sent(homeostat: Run_, data: Path) -> None:
    with listener(answers=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") as url:
        announce(data, url=url, mode=0o644)
        said = homeostat("status")
    assert said.code == 1
    assert "chmod 600" in said.err


def test_the_token_never_leaves_the_machine(homeostat: Run_, data: Path) -> None:
    announce(data, url="http://192.0.2.1:80")
    assert "the token was not sent" in homeostat("pause").err


def test_an_answer_of_another_version_is_an_error_of_its_own(homeostat: Run_, data: Path) -> None:
    with listener(answers=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") as url:
        announce(data, url=url)
        said = homeostat("status")
    assert said.code == 1
    assert "another shape" in said.err


def test_a_server_that_speaks_no_http_is_no_operator(homeostat: Run_, data: Path) -> None:
    with listener(answers=b"SSH-2.0-OpenSSH_9.6\r\n") as url:
        announce(data, url=url)
        said = homeostat("pause")
    assert said.code == 1
    assert "does not answer" in said.err


def test_wrong_use_is_exit_code_2_with_the_help_to_read(homeostat: Run_, data: Path) -> None:
    for words, part in (
        (("bogus",), "Try `homeostat --help`"),
        (("remedy", "show", "x"), "Try `homeostat remedy show --help`"),
        (("detach",), "Missing argument"),
        (("demo", "--users", "0"), "--users"),
    ):
        said = homeostat(*words)
        assert said.code == 2
        assert part in said.err
        assert "Traceback" not in said.err


@pytest.mark.parametrize(
    "words",
    [
        ("pause", "a\udcff"),
        ("link", "--name", "a\udcff"),
        ("token", "create", "a\udcff", "--role", "viewer"),
        ("check", "/srv/a\udcff.db"),
        ("grants", "postgresql://a\udcff@127.0.0.1/shop"),
        ("up", "shop.db", "--data", "/srv/a\udcff"),
    ],
)
def test_what_is_no_text_is_wrong_use(homeostat: Run_, data: Path, words: tuple[str, ...]) -> None:
    said = homeostat(*words)
    assert said.code == 2
    assert "holds bytes that are no UTF-8" in said.err
    assert list(data.iterdir()) == []


def test_a_url_that_nothing_can_be_called_is_told(homeostat: Run_, data: Path) -> None:
    """No argument can hold a NUL, but a file can, and a URL bytes that are no UTF-8."""
    said = homeostat("check", "postgresql://a%ff@127.0.0.1:1/shop")
    assert said.code == 2
    assert "The URL cannot be read" in said.err
    (data / "homeostat.toml").write_text('[databases.shop]\nurl = "/srv/a\\u0000b.db"\n')
    said = homeostat("up")
    assert said.code == 1
    assert "has a NUL in it" in said.err
    assert not (data / "cli.log").exists()


def test_without_a_command_the_help_is_shown(homeostat: Run_) -> None:
    said = homeostat()
    assert said.code == 2
    for name in ("demo", "up", "status", "remedy", "pause", "resume", "detach", "link"):
        assert f"\n  {name} " in said.err


def test_an_unforeseen_error_is_short_and_leaves_its_details_in_a_file(
    homeostat: Run_, operator: Described
) -> None:
    operator.remedies = [remedy(proposed=1e30)]  # no calendar reaches so far
    said = homeostat("remedy", "list")
    assert said.code == 1
    assert "Traceback" not in said.err
    log = operator.data / "cli.log"
    assert str(log) in said.err
    assert "Traceback" in log.read_text()
    assert log.stat().st_mode & 0o077 == 0
    shown = homeostat("remedy", "list", env={"HOMEOSTAT_DEBUG": "1"})
    assert "Traceback" in shown.err


def test_ctrl_c_is_exit_code_130_without_a_traceback(data: Path) -> None:
    with listener() as url:
        announce(data, url=url)
        process = subprocess.Popen(
            [str(EXECUTABLE), "status"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(data),
            start_new_session=True,
        )
        deadline = time.monotonic() + 20
        while not waits_in_network(process.pid) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert b"Traceback" not in err


def waits_in_network(pid: int) -> bool:
    """Return whether a process has a TCP connection, by its open sockets."""
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if str(entry.readlink()).startswith("socket:"):
                return True
        except OSError:
            continue
    return False


def test_a_reader_that_goes_away_is_no_error(operator: Described, data: Path) -> None:
    operator.remedies = [remedy(n, title="t" * 1000) for n in range(500)]
    process = subprocess.Popen(
        [str(EXECUTABLE), "remedy", "list"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(data),
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    process.stderr.close()
    process.wait(timeout=20)
    assert err == b""


def spent_seconds(command: list[str], env: dict[str, str]) -> float:
    """Return the least CPU that a command took in six runs, the first of which compiles."""
    spent = []
    for _ in range(6):
        before = os.times()
        subprocess.run(command, check=True, capture_output=True, env=env)
        after = os.times()
        spent.append(
            after.children_user
            + after.children_system
            - before.children_user
            - before.children_system
        )
    return min(spent)


@pytest.mark.slow
def test_status_starts_at_once(operator: Described, data: Path, tmp_path: Path) -> None:
    """A prompt may call it: at most three times what importing the libraries takes."""
    env = environment(data, {"PYTHONPYCACHEPREFIX": str(tmp_path / "compiled")})
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    bare = spent_seconds([sys.executable, "-c", "import click, http.client, msgspec"], env)
    assert spent_seconds([str(EXECUTABLE), "status"], env) < 3 * bare
