"""A PgBouncer that keeps prepared statements apart (1.21 or newer), for the tests.

Debian 12 has 1.18. Where the system's is too old, the package of Debian 13 and the libraries that
it needs are fetched from the mirror that apt uses already, unpacked into the cache directory that
all checkouts of a machine share, and started through that release's own loader. Nothing of the
system changes: apt works with lists and a state of its own, and no package is installed or
configured. Only one that has said its version is used. Without one, the tests that need it are
skipped; nothing else depends on it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from functools import cache as remembered
from pathlib import Path

from scripts import copies

OLDEST = (1, 21)  # max_prepared_statements came with it
SUITE = "trixie"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
PACKAGES = (
    "pgbouncer", "libc6", "libevent-2.1-7t64", "libssl3t64", "libcares2", "libpam0g",
    "libsystemd0", "libaudit1", "libcap-ng0", "libcap2", "libzstd1", "zlib1g",
)  # fmt: skip
SECONDS_MAX = 60


@remembered
def mirror() -> str | None:
    """Return the address of the Debian mirror that apt uses here; None: there is none."""
    if not all(shutil.which(name) for name in ("apt-get", "dpkg-deb")) or not KEYRING.exists():
        return None
    fields = "$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)"
    done = subprocess.run(
        ["apt-get", "indextargets", "--format", fields, "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=False,
    )
    found = [line.split("|") for line in done.stdout.splitlines()]
    return next((one[3] for one in found if one[:3] == ["Debian", "Debian", "main"]), None)


def command() -> list[str] | None:
    """Return what to put before the configuration to start it; None: none that starts is there."""
    own = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if own is not None and copies.version([own]) >= OLDEST:
        return [own]
    return _copy(_home())


def _copy(home: Path) -> list[str] | None:
    """Return how the copy in a directory is started; None: it is not whole, or too old."""
    libraries = next(iter(sorted(home.glob("usr/lib/*-linux-gnu*"))), home)
    loader = next(iter(sorted(libraries.glob("ld-linux-*.so.*"))), None)
    if loader is None:
        return None
    program = home / "usr" / "sbin" / "pgbouncer"
    words = [str(loader), "--library-path", str(libraries), str(program)]
    return words if copies.version(words) >= OLDEST else None


def install() -> str:
    """Fetch and unpack it; return an empty string, or what a person has to do."""
    address = mirror()
    if address is None:
        return f"install PgBouncer {OLDEST[0]}.{OLDEST[1]} or newer"
    shared = copies.cache()
    shared.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=shared) as name:
        draft = Path(name)
        unpacked = draft / "unpacked"
        problem = _download(draft, address) or _unpack(draft, unpacked)
        if not problem:
            problem = copies.put(unpacked, _home(), works=lambda home: _copy(home) is not None)
    return f"PgBouncer of {SUITE}: {problem}" if problem else ""


def _home() -> Path:
    return copies.cache() / f"pgbouncer-{SUITE}"


def _unpack(draft: Path, unpacked: Path) -> str:
    """Unpack what was fetched; return an empty string, or what went wrong."""
    unpacked.mkdir(mode=0o755)
    for package in sorted(draft.glob("*.deb")):
        done = subprocess.run(
            ["dpkg-deb", "--extract", package, unpacked],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            return f"{package.name} could not be unpacked: {done.stderr[-300:].strip()}"
    unpacked.chmod(0o755)
    return ""


def _download(draft: Path, address: str) -> str:
    """Fetch the packages into a directory; return an empty string, or what went wrong."""
    for part in ("state/lists/partial", "cache/archives/partial", "parts"):
        (draft / part).mkdir(parents=True)
    (draft / "status").touch()
    (draft / "sources.list").write_text(f"deb [signed-by={KEYRING}] {address} {SUITE} main\n")
    options = {
        "Dir::State": draft / "state",
        "Dir::State::status": draft / "status",
        "Dir::Cache": draft / "cache",
        "Dir::Etc::sourcelist": draft / "sources.list",
        "Dir::Etc::sourceparts": draft / "parts",
        "Dir::Etc::preferencesparts": draft / "parts",
        "Acquire::Languages": "none",
        "Acquire::Retries": "1",
        "APT::Update::Error-Mode": "any",  # otherwise a list that is not fetched is no failure
        "APT::Sandbox::User": "",  # the draft is closed to apt's own user
    }
    apt = ["apt-get", "-qq"]
    for option, value in options.items():
        apt += ["-o", f"{option}={value}"]
    for step in (["update"], ["download", *PACKAGES]):
        try:
            done = subprocess.run(
                [*apt, *step],
                cwd=draft,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=SECONDS_MAX,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"apt-get {step[0]} of {SUITE} took more than {SECONDS_MAX} s"
        if done.returncode:
            return f"apt-get {step[0]} of {SUITE} failed: {done.stderr[-300:]}"
    return ""
