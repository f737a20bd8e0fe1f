"""An application under an operator that tunes it, and the clones that operator makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from homeostat.access.channel import Channel
from homeostat.access.protocol import Reply, Report, Settings
from homeostat.driver.identity import identify
from homeostat.driver.wire import Wire
from homeostat.engine.engine import Identity
from homeostat.errors import OperatorUnreachableError, SecretError
from homeostat.logbook.rows import RemedyRecord
from tests.tune.application import Work, application, open_wire

SILENCE = Reply(1, 0, 0.1, Settings(0, 0.0, {}))


def reporter(channel: Channel) -> Callable[[Report], Reply]:
    """Return what sends a report to whoever runs on the data directory; nobody: it is lost."""

    def send(report: Report) -> Reply:
        try:
            body = channel.post(msgspec.json.encode(report))
            reply = msgspec.json.decode(body, type=Reply)
        except (
            OperatorUnreachableError,
            SecretError,
            msgspec.DecodeError,
        ):  # killed while it spoke
            return SILENCE
        return reply if not reply.error else SILENCE

    return send


@contextmanager
def traffic(url: str, data: Path, works: Sequence[Work]) -> Iterator[None]:
    wire = open_wire(url)
    found = identify(wire, path=None if "://" in url else url)
    wire.close()
    identity = Identity(found.dialect, found.key, found.label, found.version)
    with (
        closing(Channel(data, timeout_seconds=2.0)) as channel,
        application(url, identity, reporter(channel), works),
    ):
        yield


def clones(wire: Wire, data: Path, record: RemedyRecord) -> list[str]:
    if wire.dialect == "sqlite":
        return [path.name for path in (data / "clones").glob("*")]
    asked = (
        "SELECT datname FROM pg_database WHERE datname LIKE 'homeostat_clone%' "
        "AND shobj_description(oid, 'pg_database') LIKE :source"
    )
    rows = wire.execute(asked, {"source": f"%{record.database}%"}).rows
    return [str(row[0]) for row in rows]
