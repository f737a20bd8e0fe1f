"""Search over what the operator knows: nothing is indexed, everything is small and at hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from homeostat.operate.attached import Attached
from homeostat.operate.insights import Hit, Hits
from homeostat.operate.looking.settings import settings_of
from homeostat.operate.operator import Operator

ROWS_MAX = 1000  # of findings and of remedies, the newest
WORDS_MAX = 8
DETAIL_CHARACTERS_MAX = 200
STATEMENT_SECONDS = 1800.0


def search(operator: Operator, words: str, *, database: str | None, limit: int) -> Hits:
    """Return what holds all the words; those whose title holds them first.

    Raises:
        NotFoundError: there is no such database.
    """
    asked = words.lower().split()[:WORDS_MAX]
    attached = list(operator.attached.values()) if database is None else [operator.find(database)]
    ranked = []
    for number, hit in enumerate(_all(operator, attached) if asked else ()):
        title = f"{hit.title} {hit.name} {hit.kind}".lower()
        text = f"{title} {hit.detail}".lower()
        if all(word in text for word in asked):
            missing = sum(word not in title for word in asked)
            ranked.append((missing, number, hit))
    ranked.sort(key=lambda one: one[:2])
    hits = [_short(hit) for *_, hit in ranked]
    return Hits(asked=words, hits=hits[:limit], more=max(0, len(hits) - limit))


def _all(operator: Operator, attached: Iterable[Attached]) -> Iterator[Hit]:
    attached = list(attached)
    for one in attached:
        yield from _decisions(operator, one)
        yield from _things(operator, one)
    for one in attached:
        for row in settings_of(operator, one).of_database:
            detail = f"{row.value if row.value is not None else 'unknown'}. {row.description}"
            yield _hit("setting", one, row.name, row.name, detail)
    for one in attached[:1]:
        for row in settings_of(operator, one).of_homeostat:
            yield _hit("setting", one, row.name, row.name, f"{row.value}. {row.description}")
    for room in operator.rooms:
        for rule in room.rules:
            yield Hit(kind="rule", database="", name=rule.name, title=rule.name, detail=rule.help)
        for remedy in room.remedies:
            yield Hit(
                kind="kind of remedy",
                database="",
                name=remedy.key,
                title=remedy.key,
                detail=remedy.help,
            )
        for spec in room.metrics:
            yield Hit(kind="metric", database="", name=spec.name, title=spec.name, detail=spec.help)


def _decisions(operator: Operator, one: Attached) -> Iterator[Hit]:
    key = one.row.key
    for finding in operator.logbook.findings(key, open_only=False, limit=ROWS_MAX):
        detail = f"{finding.state}. {finding.cause}. {finding.mend} {finding.rule}"
        yield _hit("finding", one, str(finding.id), finding.what, detail)
    for record in operator.logbook.remedies(key, limit=ROWS_MAX):
        detail = f"{record.state}. {record.why} {record.verdict} {record.key}"
        yield _hit("remedy", one, str(record.id), record.title, detail)


def _things(operator: Operator, one: Attached) -> Iterator[Hit]:
    now = operator.clock.now()
    for view in one.watch.statements.views(start=now - STATEMENT_SECONDS, end=now):
        yield _hit("statement", one, view.key, view.name, view.text)
    holdings = one.watch.holdings()
    if holdings is None:
        return
    for table in holdings.tables:
        name = f"{table.schema}.{table.name}" if table.schema not in {"", "public"} else table.name
        yield _hit("table", one, name, name, "")
    for index in holdings.indexes:
        yield _hit("index", one, index.name, index.name, f"of {index.table}: {index.definition}")


def _hit(kind: str, one: Attached, name: str, title: str, detail: str) -> Hit:
    return Hit(kind=kind, database=one.row.key, name=name, title=title, detail=detail)


def _short(hit: Hit) -> Hit:
    if len(hit.detail) <= DETAIL_CHARACTERS_MAX:
        return hit
    return Hit(
        kind=hit.kind,
        database=hit.database,
        name=hit.name,
        title=hit.title,
        detail=hit.detail[:DETAIL_CHARACTERS_MAX].rsplit(" ", 1)[0] + " ...",
    )
