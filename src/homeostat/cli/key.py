"""Where the key of an encrypted SQLite file comes from, for commands that take a URL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from homeostat.driver.urls import is_postgres_url
from homeostat.errors import EncryptedDatabaseError
from homeostat.secret import Secret

F = TypeVar("F", bound=Callable[..., Any])

key_option: Callable[[F], F] = click.option(
    "--key-from",
    metavar="REFERENCE",
    help="Where the key of an encrypted SQLite file is: env:NAME, file:PATH or command:PROGRAM.",
)


def key_options(url: str, key_from: str | None) -> dict[str, str]:
    """Return what `Target.options` is to hold of a key.

    Raises:
        click.UsageError: the URL is of a server, which has no key.
        ConfigError: it is no reference.
    """
    if key_from is None:
        return {}
    if is_postgres_url(url):
        raise click.UsageError(
            "--key-from is for an encrypted SQLite file; a PostgreSQL server has no key. Leave it "
            "out."
        )
    return {"key": Secret.parse(key_from).reference}


@contextmanager
def telling_of_key(key_from: str | None) -> Iterator[None]:
    """Say of an encrypted file how its key is given, where none was.

    Raises:
        EncryptedDatabaseError: as it came out of the context, with that message.
    """
    try:
        yield
    except EncryptedDatabaseError as error:
        if key_from is not None:
            raise
        message = (
            "The file is encrypted. Give where its key is with --key-from: env:NAME, file:PATH or "
            "command:PROGRAM."
        )
        raise EncryptedDatabaseError(message, where=error.where) from None
