"""The clones of attached databases as people see them: list, make, drop.

Making and dropping is written to the audit log. Clones are made through the engine's Clone facet;
nothing here touches the database that is copied.
"""

from __future__ import annotations

from homeostat.engine import Unsupported
from homeostat.engine.facets import Clone, CloneInfo
from homeostat.errors import CloneRefusedError, NotFoundError
from homeostat.logbook.rows import Json
from homeostat.operate.attached import Attached
from homeostat.operate.operator import Operator
from homeostat.operate.strain import strain_of
from homeostat.operate.views import CloneView

PERSON = "person"


def list_clones(operator: Operator, database: str | None) -> list[CloneView]:
    """Return the clones of one database or of all, the newest first.

    Raises:
        NotFoundError: the database is not attached.
        DatabaseError: the server for clones cannot be asked.
    """
    found = [
        _view(info, one)
        for one in _chosen(operator, database)
        if not isinstance(clone := one.engine.clone, Unsupported)
        for info in clone.list()
    ]
    return sorted(found, key=lambda view: -view.created)


def create_clone(
    operator: Operator, database: str | None, *, hours: float | None, actor: str
) -> CloneView:
    """Make a clone for a person; it takes as long as the copy does.

    Raises:
        NotFoundError: the database is not attached, or several are and none is named.
        CloneRefusedError: there can be none; says what to do.
        LogbookError: it could not be written down, so nothing was copied.
    """
    chosen = _chosen(operator, database)
    if len(chosen) != 1:
        raise NotFoundError("Several databases are attached. Name the one to clone.")
    one = chosen[0]
    clone = _facet(one)
    config = operator.config.clone
    seconds = config.keep_seconds if hours is None else 3600 * hours
    _audit(operator, one, "create clone", "", {"expires_seconds": seconds}, actor)
    info = clone.create(
        owner=PERSON,
        expires_seconds=seconds,
        bytes_max=config.bytes_max,
        strain=strain_of(one.watch.view),
    )
    return _view(info, one)


def drop_clone(operator: Operator, name: str, *, actor: str) -> CloneView:
    """Remove a clone; return what it was.

    Raises:
        NotFoundError: there is no such clone.
    """
    for one in operator.attached.values():
        clone = one.engine.clone
        if isinstance(clone, Unsupported):
            continue
        for info in clone.list():
            if info.name == name:
                _audit(operator, one, "drop clone", name, {"owner": info.owner}, actor)
                clone.drop(name)
                return _view(info, one)
    raise NotFoundError("There is no clone of this name. `homeostat clone list` shows them.")


def _chosen(operator: Operator, database: str | None) -> list[Attached]:
    return list(operator.attached.values()) if database is None else [operator.find(database)]


def _facet(one: Attached) -> Clone:
    clone = one.engine.clone
    if isinstance(clone, Unsupported):
        raise CloneRefusedError(f"{clone.reason} {clone.mend}", where=one.row.label)
    return clone


def _audit(
    operator: Operator, one: Attached, action: str, subject: str, detail: Json, actor: str
) -> None:
    with operator.logbook.write(one.ownership.tenure) as tx:
        tx.audit(actor=actor, action=action, database=one.row.key, subject=subject, detail=detail)


def _view(info: CloneInfo, one: Attached) -> CloneView:
    return CloneView(
        name=info.name,
        database=info.source,
        label=one.row.label,
        url=info.url,
        bytes=info.bytes,
        share=info.share,
        seconds=info.seconds,
        created=info.created,
        expires=info.expires,
        owner=info.owner,
    )
