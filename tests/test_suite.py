"""The test command tells what failed, ends what hangs, and asks a person for what it may not do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from scripts import copies, durations, newest_pgbouncer, newest_postgres, packages, suite
from tests.servers import free_port, wait_until


def python(code: str, *, show: bool = False, seconds_max: int = 30) -> str:
    return suite.run([sys.executable, "-c", code], show=show, seconds_max=seconds_max)


def test_a_stage_that_passes_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    assert python("print('chatter')") == ""
    assert capfd.readouterr().out == ""


def test_a_stage_that_fails_shows_its_output(capfd: pytest.CaptureFixture[str]) -> None:
    assert python("print('what is wrong'); raise SystemExit(3)") == "exit code 3"
    assert "what is wrong" in capfd.readouterr().out


def test_a_stage_that_hangs_is_ended_with_all_it_started(tmp_path: Path) -> None:
    child = tmp_path / "pid"
    code = (
        "import pathlib, subprocess, sys;"
        "child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE);"
        f"pathlib.Path({str(child)!r}).write_text(str(child.pid));"
        "child.wait()"
    )
    assert python(code, show=True, seconds_max=2) == "stopped after 2 s"
    pid = int(child.read_text())

    def gone() -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    wait_until(gone, 10.0, "the end of what the stage had started")


HANGING = """
import pytest, threading

@pytest.fixture
def endless():
    yield
    threading.Event().wait()

def test_fine():
    pass

def test_fails(endless):
    assert False, "first this"

def test_fine_too():
    pass
"""


def hanging(directory: Path, each_seconds: float, *more: str) -> list[str]:
    """Write the tests above; return the command that runs them, each for so long at most."""
    (directory / "pytest.ini").write_text("[pytest]\nfaulthandler_exit_on_timeout = true\n")
    (directory / "test_it.py").write_text(HANGING)
    command = [sys.executable, "-m", "pytest", str(directory), "-p", "scripts.failures"]
    return [*command, "-p", "no:cacheprovider", "-o", f"faulthandler_timeout={each_seconds}", *more]


@pytest.mark.slow  # pytest-xdist waits for the process that has ended
def test_a_test_that_hangs_after_it_failed_is_named_and_the_others_go_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # pytest forgets the limit of a test that failed, and so of its tear-down
    command = hanging(tmp_path, 5, "-n", "1", "--dist=worksteal")
    assert suite.run(command, show=True, seconds_max=120) == "exit code 1"
    told = capfd.readouterr().out
    assert "line 7 in endless" in told
    assert "crashed while running 'test_it.py::test_fails'" in told
    assert "2 passed" in told


def test_a_run_that_is_ended_tells_what_failed_and_what_still_ran(tmp_path: Path) -> None:
    command = hanging(tmp_path, 60)
    told = ""
    with subprocess.Popen(
        command, cwd=suite.ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            told += line
            if "AssertionError: first this" in line:  # at once; after 60 s it ends by itself
                process.terminate()
    assert process.returncode == -signal.SIGTERM, told
    assert "ended by SIGTERM; still running: test_it.py::test_fails" in told


def test_stages_get_no_input() -> None:
    assert python("import sys; assert sys.stdin.read() == ''") == ""


def test_the_last_lines_name_what_failed(capsys: pytest.CaptureFixture[str]) -> None:
    results = [suite.Result("lint", 1.0, ""), suite.Result("types", 2.0, "exit code 1")]
    assert suite._report(results, 3.0, suite.Options()) == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("failed: types in 3.0 s")
    assert suite._report(results[:1], 1.0, suite.Options()) == 0


def test_words_after_two_dashes_go_to_pytest() -> None:
    options = suite.parse(["--quick", "--only", "tests", "--", "tests/driver", "-x"])
    assert options == suite.Options(tier="quick", only=["tests"], pytest=["tests/driver", "-x"])


def test_the_quick_set_leaves_out_what_took_long() -> None:
    seconds = {"tests/a.py::fast": 0.01, "tests/a.py::one[x]": 0.1, "tests/a.py::one[y]": 2.04}
    text = durations.slow_list(seconds)
    assert durations.slow_functions(text) == {"tests/a.py::one": 2.0}
    assert durations.slow_list({}) == durations.HEAD


def test_each_process_begins_with_the_longest_of_its_tests() -> None:
    names = [f"tests/a.py::{one}" for one in ("quick", "story[x]", "story[y]", "slow", "brief")]
    slow = {"tests/a.py::story": 170.0, "tests/a.py::slow": 20.0}
    order = durations.longest_first(names, slow, 2)
    told = [names[one].removeprefix("tests/a.py::") for one in order]
    assert told == ["story[y]", "quick", "story[x]", "slow", "brief"], "two, then three"


def test_who_may_not_install_is_given_the_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)  # also where root or a sudoer runs the tests
    (tmp_path / "apt-get").symlink_to(sys.executable)  # never run: there is no sudo beside it
    monkeypatch.setenv("PATH", str(tmp_path))
    told = packages.install([packages.Need("Chromium", ("chromium",))])
    assert told == "run as root: apt-get update && apt-get install --yes chromium"


@pytest.mark.skipif(newest_pgbouncer.mirror() is None, reason="no Debian's apt")
def test_a_mirror_that_does_not_answer_is_told_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = f"http://127.0.0.1:{free_port()}/debian/"
    monkeypatch.setattr(newest_pgbouncer, "mirror", lambda: nobody)
    monkeypatch.setattr(copies, "cache", lambda: tmp_path / "cache")
    assert "apt-get update of trixie failed" in newest_pgbouncer.install()
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.skipif(newest_pgbouncer.mirror() is None, reason="no Debian's apt")
def test_a_package_that_was_cut_off_is_told_and_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(draft: Path, _: str) -> str:
        (draft / "pgbouncer.deb").write_bytes(b"!<arch>")
        return ""

    monkeypatch.setattr(newest_pgbouncer, "_download", cut_off)
    monkeypatch.setattr(copies, "cache", lambda: tmp_path)
    assert "pgbouncer.deb could not be unpacked" in newest_pgbouncer.install()
    assert list(tmp_path.iterdir()) == []


def test_a_copy_that_does_not_start_is_not_taken_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "cache", lambda: tmp_path)
    pooler, server = newest_pgbouncer._home(), newest_postgres._home()
    libraries = pooler / "usr" / "lib" / "x86_64-linux-gnu"
    script(libraries / "ld-linux-x86-64.so.2", "exit 127")
    script(server / newest_postgres.PROGRAM, "exit 127")
    assert newest_pgbouncer._copy(pooler) is None
    assert newest_postgres.binaries() is None
    script(libraries / "ld-linux-x86-64.so.2", "echo PgBouncer 1.24.1")
    script(server / newest_postgres.PROGRAM, "echo 'postgres (PostgreSQL) 18.4'")
    assert newest_pgbouncer._copy(pooler) is not None
    assert newest_postgres.binaries() == server / "bin"
    script(libraries / "ld-linux-x86-64.so.2", "echo PgBouncer 1.20.0")
    assert newest_pgbouncer._copy(pooler) is None, "too old"


def test_a_copy_takes_its_place_only_when_it_works_and_none_does(tmp_path: Path) -> None:
    target = tmp_path / "program"

    def put(says: str) -> str:
        draft = tmp_path / says / "draft"
        script(draft / "run", f"echo version {says}")
        return copies.put(draft, target, works=lambda home: version(home) >= (2, 0))

    def version(home: Path) -> tuple[int, int]:
        return copies.version([home / "run"])

    assert put("1.0") == "what was fetched does not start"
    assert not target.exists()
    script(target / "run", "exit 1")
    assert put("2.0") == ""
    assert version(target) == (2, 0), "it replaced what did not start"
    assert put("3.0") == ""
    assert version(target) == (2, 0), "it works, so it stays"


def script(path: Path, line: str) -> None:
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
