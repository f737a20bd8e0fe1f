"""Keep passwords out of the command line: every user of the machine can read it with `ps`.

What is refused is never printed.
"""

from __future__ import annotations

import os
import sys
from urllib.parse import parse_qsl, urlsplit

import click

from homeostat.driver.urls import is_postgres_url

SECRET_PARAMETERS = frozenset({"password", "sslpassword", "oauth_client_secret", "key", "hexkey"})
HOW = (
    "Leave it out and give it in PGPASSWORD, in ~/.pgpass (mode 0600), with `?passfile=FILE` in "
    "the URL, or type it after --password."
)


def refuse_secrets(url: str) -> str:
    """Return the URL if it holds no secret.

    Raises:
        click.UsageError: it holds one, or cannot be read as a URL; the URL is not repeated.
    """
    try:
        split = urlsplit(url)
        password = split.password
    except ValueError:
        raise click.UsageError("The URL cannot be read. Check its brackets.") from None
    if not split.scheme and "=" in url and " " in url and "password" in url:
        raise click.UsageError(f"Give a URL, and no password in it. {HOW}")
    if password:
        raise click.UsageError(f"The URL holds a password, which `ps` shows to everybody. {HOW}")
    if split.scheme:
        named = {key.lower() for key, _ in parse_qsl(split.query, keep_blank_values=False)}
        found = sorted(named & SECRET_PARAMETERS)
        if found:
            raise click.UsageError(
                f"The URL holds a secret ({found[0]}), which `ps` shows to everybody. {HOW}"
            )
    return url


def refuse_for_files(option: str, *urls: str | None) -> None:
    """Let an option about passwords pass where a server may be meant.

    Raises:
        click.UsageError: all the URLs are of SQLite files.
    """
    if urls and not any(url is None or is_postgres_url(url) for url in urls):
        raise click.UsageError(
            f"{option} is for a PostgreSQL server; an SQLite file has no password. Leave it out. "
            "An encrypted file has a key: --key-from of `check` and `init`."
        )


def ask_password(*urls: str | None) -> None:
    """Ask for the password without showing it, and keep it for this process alone.

    Args:
        urls: of what is opened with it; None, or none at all: that is not known yet.

    Raises:
        click.UsageError: nobody can be asked: there is no terminal; or no server is opened.
    """
    refuse_for_files("--password", *urls)
    if not sys.stdin.isatty():
        raise click.UsageError(f"--password asks on a terminal, and there is none. {HOW}")
    os.environ["PGPASSWORD"] = click.prompt("Password", hide_input=True, err=True)
