"""Writes `homeostat.toml`: never over one that is there unless told, never half of it."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from homeostat.cli.config_text import section_text
from homeostat.config import load
from homeostat.errors import ConfigError

OLD_ENDING = ".old"
SECRETS = "secrets"  # below the directory of the file, 0700


def refuse_existing(path: Path) -> None:
    """Leave a file alone.

    Raises:
        ConfigError: it is there.
    """
    if path.exists():
        raise ConfigError(
            "This file is there already, and nothing was changed. Give --add to add the database "
            "to it, or --replace to write it anew; the old one is kept beside it.",
            where=str(path),
        )


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet.

    Raises:
        ConfigError: it is there, or cannot be written.
    """
    refuse_existing(path)
    _put(path, text)


def write_over(path: Path, text: str) -> Path | None:
    """Replace a file; return where the old one is kept, None if there was none."""
    old = path.with_name(path.name + OLD_ENDING)
    there = path.exists()
    if there:
        _put(old, path.read_text(encoding="utf-8"))
    _put(path, text)
    return old if there else None


def add_database(path: Path, name: str, *, url: str, secret: str) -> None:
    """Put a database at the end of a file; what stands there is not touched.

    Raises:
        ConfigError: the file is wrong, or has a database of this name or URL.
    """
    known = load(path).databases if path.exists() else {}
    for other, one in known.items():
        if one.url == url:
            message = "This database is there already; nothing was changed. Run `homeostat up`."
            raise ConfigError(message, where=f"{path}: databases.{other}")
    if name in known:
        raise ConfigError(
            "A database of this name is there already. Give another with --name.",
            where=f"{path}: databases.{name}",
        )
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    section = section_text(name, url=url, secret=secret, observe=True)
    whole = f"{text.rstrip()}\n\n{section}".lstrip()
    tomllib.loads(whole)
    _put(path, whole)


def keep_secret(directory: Path, name: str, value: str) -> str:
    """Keep a password in a file of its owner alone; return the reference to it.

    Raises:
        ConfigError: it cannot be written, or one of this name is there already.
    """
    place = directory / SECRETS
    path = place / name
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        message = (
            "A password of this name is kept there already. Give another --name, or "
            f"--password-from file:{path}."
        )
        raise ConfigError(message, where=str(path)) from None
    except OSError as error:
        raise _refused(path, error) from None
    with os.fdopen(number, "w", encoding="utf-8") as file:
        file.write(value + "\n")
    return f"file:{path}"


def _put(path: Path, text: str) -> None:
    """Write a file whole or not at all, for its owner only."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        number = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise _refused(path, error) from None


def _refused(path: Path, error: OSError) -> ConfigError:
    message = "This file cannot be written. Give a directory of yours with --data."
    return ConfigError(message, where=str(path), detail=error.strerror or "")
