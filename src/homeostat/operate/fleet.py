"""Attach several databases: one that cannot be attached now holds up none of the others."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from homeostat.config import DatabaseConfig
from homeostat.errors import DatabaseError, HomeostatError, OwnedElsewhereError, SecretError
from homeostat.operate.operator import Operator
from homeostat.operate.schedule import Routine, Task
from homeostat.operate.views import Pending
from homeostat.secret import without_password

log = logging.getLogger(__name__)

ROUTINE = "attaching"


def attach_all(operator: Operator, wanted: Mapping[str, DatabaseConfig]) -> None:
    """Attach databases by name (their URL, if they have none); go on trying what failed.

    Raises:
        HomeostatError: none of them could be attached: the first one's error.
    """
    errors = [_try(operator, name, settings) for name, settings in wanted.items()]
    failed = [error for error in errors if error is not None]
    if failed and not operator.attached:
        raise failed[0]

    def again() -> None:
        for name in list(operator.pending):
            _try(operator, name, wanted[name])

    if operator.pending:
        log.warning("%d databases are not attached yet", len(operator.pending))
        interval = operator.config.monitor.health_seconds
        operator.repeat(Routine(ROUTINE, [Task("attach", interval, again)]))


def _try(operator: Operator, name: str, settings: DatabaseConfig) -> HomeostatError | None:
    before = operator.pending.get(name)
    said = "" if name == settings.url else name
    try:
        operator.attach(settings.url, settings=settings, name=said)
    except (DatabaseError, OwnedElsewhereError, SecretError) as error:
        waits = Pending(
            name=said,
            label=without_password(settings.url),
            group=settings.group,
            error=str(error),
            since=before.since if before else operator.clock.now(),
            tries=before.tries + 1 if before else 1,
        )
        operator.pending = {**operator.pending, name: waits}  # others iterate over the old
        return error
    operator.pending = {key: one for key, one in operator.pending.items() if key != name}
    return None
