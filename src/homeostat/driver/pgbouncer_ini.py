"""The line of pgbouncer.ini that sizes a database's pools: found, changed, put back exactly.

Only the text `pool_size=...` of one line of [databases] is touched, and a comment of our own above
it that keeps the size from before we first changed it:

    ; homeostat: pool_size was 20
    shop = host=10.0.0.5 pool_size=40

What is remembered to undo a change is that text, never the line: there may be a password in it. A
line that somebody else changed meanwhile is left alone. The file is replaced at once, with its mode
and owner, so PgBouncer reads either the old one or the new.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from homeostat.errors import PoolerFileError

SIZE = "pool_size"
ANY = "*"  # the line for databases that have none of their own
# ASCII: what else Unicode calls white space may stand in a password
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_SECTION = re.compile(r"\s*\[([^\]]*)\]", re.ASCII)
_ENTRY = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^\s="]+))\s*=', re.ASCII)
_PART = re.compile(r"\s*(\w+)\s*=\s*(?:'(?:[^']|'')*'|[^\s']*)", re.ASCII)
_MARK = re.compile(r"; homeostat: pool_size was (\d+)\s*\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Entry:
    """What one line says of a pool's size.

    Attributes:
        name: the database it is for; ANY: all that have no line of their own.
        token: ` pool_size=4` as it stands there; empty: the line says nothing.
        mark: our own comment above it; empty: there is none.
        digest: of the line and the mark, to see whether anybody changed them.
    """

    name: str
    token: str
    mark: str
    digest: str

    @property
    def size_before(self) -> int | None:
        """Return the size before we first changed it; None: we did not."""
        found = _MARK.match(self.mark)
        return int(found[1]) if found else None


def find(text: str, database: str) -> Entry:
    """Return the line that decides a database's pool size: its own, or else that for any.

    Raises:
        PoolerFileError: there is none; it may stand in an included file.
    """
    lines = _LINE.findall(text)
    return _entry(lines, _number(lines, database))


def changed(text: str, database: str, *, size: int, before: int) -> str:
    """Return the file with another size for a database's pools.

    Args:
        text: the file.
        database: as `find`.
        size: the new one.
        before: the one in force now; noted above the line, unless an earlier one is. A size that
            is back at the noted one needs no note.

    Raises:
        PoolerFileError: as `find`.
    """
    lines = _LINE.findall(text)
    number = _number(lines, database)
    entry = _entry(lines, number)
    mark = entry.mark or f"; homeostat: pool_size was {before}\n"
    if size == entry.size_before:
        mark = ""
    token, found = re.subn(r"\d+", str(size), entry.token, count=1)
    if not found:
        token = f" pool_size={size}"
    return _replaced(lines, number, entry, token=token, mark=mark)


def restored(text: str, database: str, *, token: str, mark: str) -> str:
    """Return the file with an entry's text and mark as they were."""
    lines = _LINE.findall(text)
    number = _number(lines, database)
    return _replaced(lines, number, _entry(lines, number), token=token, mark=mark)


def read(path: Path) -> str:
    """Return the file's text.

    Raises:
        PoolerFileError: it cannot be read.
    """
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except OSError as error:
        raise PoolerFileError(where=str(path), detail=error.strerror or "") from None


def cannot_write(path: Path) -> str:
    """Return why the file could not be replaced with its owner and mode kept; empty: it can."""
    try:
        status, folder = path.resolve().stat(), path.resolve().parent
    except OSError as error:
        return error.strerror or "it cannot be found"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"its directory {folder} cannot be written"
    if os.geteuid() not in {0, status.st_uid}:
        return "it belongs to another user, and would not any more"
    return ""


def replace(path: Path, old: str, new: str) -> None:
    """Put a new text in the place of the old one at once; mode and owner stay as they are.

    Raises:
        PoolerFileError: it is no longer the old text, or cannot be written; nothing was changed.
    """
    path = path.resolve()  # the file itself is replaced, not a link that leads to it
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        status = path.stat()
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(new.encode("utf-8", "surrogateescape"))
                file.flush()
                os.fchown(descriptor, status.st_uid, status.st_gid)
                os.fchmod(descriptor, stat.S_IMODE(status.st_mode))
                os.fsync(descriptor)
            _refuse_other(path, old)
            draft.rename(path)
        except BaseException:
            with suppress(OSError):
                draft.unlink()
            raise
        _sync(path.parent)
    except OSError as error:
        raise PoolerFileError(where=str(path), detail=error.strerror or "") from None


def _refuse_other(path: Path, old: str) -> None:
    if read(path) != old:
        message = "Somebody changed PgBouncer's file just now. Nothing was written."
        raise PoolerFileError(message, where=str(path))


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _number(lines: list[str], database: str) -> int:
    """Return the number of the line that decides."""
    section, found = "", {}
    for number, line in enumerate(lines):
        if line.lstrip().startswith((";", "#")):
            continue
        head = _SECTION.match(line)
        if head is not None:
            section = head[1].strip()
        entry = _ENTRY.match(line) if section == "databases" else None
        if entry is not None:
            found[_name(entry)] = number  # the last one of a name holds
    number = found.get(database, found.get(ANY, -1))
    if number < 0:
        message = (
            "PgBouncer's file has no line for this database in [databases]. If it stands in an "
            "included file, name that one as `pooler_ini`."
        )
        raise PoolerFileError(message, where=database)
    return number


def _name(entry: re.Match[str]) -> str:
    return entry[2] if entry[1] is None else entry[1].replace('""', '"')


def _parts(line: str) -> Iterator[re.Match[str]]:
    """Yield the `key=value` parts of a line of [databases], with the white space before them."""
    entry = _ENTRY.match(line)
    return _PART.finditer(line, entry.end() if entry else len(line))


def _entry(lines: list[str], number: int) -> Entry:
    line = lines[number]
    above = lines[number - 1] if number else ""
    mark = above if _MARK.match(above) else ""
    token = next((one[0] for one in _parts(line) if one[1] == SIZE), "")
    digest = hashlib.sha256((mark + line).encode("utf-8", "surrogateescape")).hexdigest()
    name = _ENTRY.match(line)
    return Entry(_name(name) if name else "", token, mark, digest)


def _replaced(lines: list[str], number: int, entry: Entry, *, token: str, mark: str) -> str:
    line = lines[number]
    body = line.rstrip("\r\n")
    span = next((one.span() for one in _parts(line) if one[1] == SIZE), (len(body), len(body)))
    line = line[: span[0]] + token + line[span[1] :]
    first = number - 1 if entry.mark else number
    return "".join([*lines[:first], mark, line, *lines[number + 1 :]])
