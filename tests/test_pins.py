"""Every version is pinned in pyproject.toml, and nothing committed names a package index."""

from __future__ import annotations

import re
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from scripts import pins

ROOT = Path(__file__).resolve().parent.parent
PROJECT = "homeostat"
REWRITE = "run: python -m scripts.pins"
INSTALLERS = {"pip", "setuptools", "wheel", "uv"}  # brought by the environment, not by us

# Put together here, so that this file does not name one either.
HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("debian", "org"),
        ("crates", "io"),
    )
]
LOCKS = {"uv.lock", "poetry.lock", "Pipfile.lock", "package-lock.json", "yarn.lock", "pdm.lock"}


def plain(name: str) -> str:
    """Return a distribution's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def split(pin: str) -> tuple[str, str]:
    requirement = pin.partition(";")[0].strip()
    name, equals, version = requirement.partition("==")
    assert equals, f"{pin} pins no exact version"
    return plain(name), version


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def pinned(project: dict[str, Any]) -> dict[str, set[str]]:
    versions: dict[str, set[str]] = {}
    run, build = pins.pinned(project)
    for pin in [*run, *build]:
        name, version = split(pin)
        versions.setdefault(name, set()).add(version)
    return versions


def test_everything_installed_is_pinned_at_its_version(pinned: dict[str, set[str]]) -> None:
    problems = []
    for distribution in metadata.distributions():
        name = plain(distribution.metadata["Name"])
        if name in INSTALLERS or name == PROJECT:
            continue
        if distribution.version not in pinned.get(name, set()):
            problems.append(f"{name} {distribution.version} is not pinned; {REWRITE}")
    assert not problems, "\n".join(problems)


def test_everything_resolved_is_pinned_at_its_version(pinned: dict[str, set[str]]) -> None:
    """What uv resolved for all platforms, not only for this one."""
    lock = ROOT / "uv.lock"
    if not lock.exists():
        pytest.skip("this environment was not made by uv: no uv.lock to compare")
    problems = []
    for package in tomllib.loads(lock.read_text(encoding="utf-8"))["package"]:
        name = plain(package["name"])
        if name != PROJECT and package["version"] not in pinned.get(name, set()):
            problems.append(f"{name} {package['version']} is not pinned; {REWRITE}")
    assert not problems, "\n".join(problems)


def test_everything_asked_for_is_pinned(
    project: dict[str, Any], pinned: dict[str, set[str]]
) -> None:
    asked = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for group in project["dependency-groups"].values():
        asked += group
    names = {plain(re.split(r"[\[<>=!~; ]", one)[0]) for one in asked}
    assert names
    assert not names - set(pinned), REWRITE


def test_writing_the_same_pins_changes_nothing(project: dict[str, Any]) -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    run, build = pins.pinned(project)
    assert run
    assert build
    assert pins.with_block(text, run=run, build=build) == text


def test_a_file_without_markers_is_refused() -> None:
    with pytest.raises(pins.PinsError, match="marker lines"):
        pins.with_block("[tool.uv]\n", run=[], build=[])


def test_no_lock_file_and_no_package_index_is_committed() -> None:
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    names = [name for name in done.stdout.split("\0") if name]
    assert names
    problems = []
    for name in names:
        if Path(name).name in LOCKS:
            problems.append(f"{name}: a lock file")
        path = ROOT / name
        content = path.read_bytes().decode("utf-8", "replace") if path.is_file() else ""
        problems += [f"{name}: names {host}" for host in HOSTS if host in content]
    assert not problems, "\n".join(problems)
