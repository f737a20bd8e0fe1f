"""What is shipped: a wheel with all it needs; a unit and a container file that name what exists."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from homeostat.driver import sqlite
from tests.test_docs import problem_with

ROOT = Path(__file__).resolve().parent.parent
UNIT = ROOT / "packaging" / "homeostat.service"
CONTAINER = ROOT / "packaging" / "Containerfile"
PROGRAM = "/opt/homeostat/bin/homeostat"


def tracked() -> set[str]:
    """Return the files of the package that are in the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "src/homeostat"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return {name.removeprefix("src/") for name in listed.stdout.splitlines()}


def clean_environment(home: Path) -> dict[str, str]:
    """Return an environment in which nothing of the checkout is found."""
    strange = ("PYTHON", "VIRTUAL_ENV", "HOMEOSTAT_", "UV_PROJECT")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(strange)}
    return {**kept, "HOMEOSTAT_DATA": str(home / "data")}


@pytest.mark.slow
def test_the_wheel_has_everything_and_runs_from_an_empty_environment(tmp_path: Path) -> None:
    environment = clean_environment(tmp_path)

    def run(*words: str, code: int = 0) -> str:
        done = subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stderr
        return done.stdout

    run("uv", "build", "--quiet", "--wheel", "--out-dir", str(tmp_path), str(ROOT))
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert tracked() <= names
    assert not {name for name in names if name.startswith(("tests", "bench", "scripts"))}

    place = tmp_path / "venv"
    run("uv", "venv", "--quiet", "--python", sys.executable, str(place))
    run("uv", "pip", "install", "--quiet", "--python", str(place / "bin" / "python"), str(wheel))
    homeostat = str(place / "bin" / "homeostat")
    database = tmp_path / "shop.db"
    sqlite.connect(database, create=True).close()
    assert run(homeostat, "--version").startswith("homeostat ")
    assert '"findings"' in run(homeostat, "check", str(database), "--json")
    assert "CREATE ROLE" in run(homeostat, "grants")
    run(homeostat, "init", str(database))
    assert (tmp_path / "data" / "homeostat.toml").exists()
    page = tmp_path / "report.html"
    run(homeostat, "check", str(database), "--html", str(page))
    assert "<html" in page.read_text()


@pytest.mark.long
def test_it_runs_without_being_installed(tmp_path: Path) -> None:
    database = tmp_path / "shop.db"
    sqlite.connect(database, create=True).close()
    done = subprocess.run(
        ["uvx", "--quiet", "--from", str(ROOT), "homeostat", "check", str(database)],
        env=clean_environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "nothing found" in done.stdout


def test_the_unit_starts_a_command_that_is_there() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(UNIT.read_text())
    service = unit["Service"]
    assert service["ExecStart"].startswith(PROGRAM)
    assert problem_with(service["ExecStart"].replace(PROGRAM, "homeostat", 1)) == ""
    name, _, data = service["Environment"].partition("=")
    assert name == "HOMEOSTAT_DATA"
    assert data == f"/var/lib/{service['StateDirectory']}"
    assert service["StateDirectoryMode"] == "0700"
    assert set(unit) == {"DEFAULT", "Unit", "Service", "Install"}
    guide = (ROOT / "docs" / "how-to" / "run-as-a-service.md").read_text()
    for path in (PROGRAM, data, service["EnvironmentFile"].removeprefix("-")):
        assert path in guide


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    here = Path(sys.executable).with_name("homeostat")
    unit.write_text(UNIT.read_text().replace(PROGRAM, str(here)))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert UNIT.name not in done.stderr


def test_the_container_copies_and_runs_what_is_there() -> None:
    text = CONTAINER.read_text()
    for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE):
        *sources, _ = shlex.split(line)
        assert all((ROOT / source).exists() for source in sources), line
    [entry] = re.findall(r"^ENTRYPOINT \[(.+)\]$", text, re.MULTILINE)
    [command] = re.findall(r"^CMD \[(.+)\]$", text, re.MULTILINE)
    words = " ".join(one.strip().strip('"') for one in f"{entry},{command}".split(","))
    assert problem_with(words) == ""
    [health] = re.findall(r"HEALTHCHECK .* CMD \[(.+)\]$", text, re.MULTILINE)
    assert problem_with(" ".join(one.strip().strip('"') for one in health.split(","))) == ""
    assert re.findall(r"^USER (?!root)", text, re.MULTILINE), "it does not run as root"
    project = (ROOT / "pyproject.toml").read_text()
    requires = re.search(r'requires-python = ">=([\d.]+),<([\d.]+)"', project)
    assert requires is not None
    for version in re.findall(r"python:([\d.]+)-slim", text):
        low, high = (tuple(map(int, one.split("."))) for one in requires.groups())
        assert low <= tuple(map(int, version.split("."))) < high
