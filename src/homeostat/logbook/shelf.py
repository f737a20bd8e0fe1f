"""The chunk tables of samples.db: put in, read, joined to longer ones, forgotten."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from homeostat.logbook.chunk import decode_whole, encode_whole
from homeostat.logbook.compaction import Piece, joined_pieces
from homeostat.logbook.file import Session
from homeostat.logbook.levels import Level

Stored = tuple[bytes, Sequence[int]]  # a chunk's data and times

_READ = """
SELECT chunks.data, grids.times FROM chunks JOIN grids ON grids.id = chunks.grid
WHERE series = :series AND chunks.level = :level
    AND chunks.start >= :from AND chunks.start < :end AND stop > :start
ORDER BY chunks.start
"""
_PUT = """
INSERT INTO chunks (series, level, start, stop, grid, data)
VALUES (:series, :level, :start, :stop, :grid, :data)
"""
_DUE = """
SELECT series, start - start % :span AS span_start FROM chunks
WHERE level = :level AND start >= :from AND start < :until
GROUP BY series, span_start HAVING count(*) > 1
ORDER BY span_start, series LIMIT :limit
"""
_DROP = """
DELETE FROM chunks
WHERE series = :series AND level = :level AND start >= :start AND start < :end
"""
_UNUSED_GRIDS = """
DELETE FROM grids WHERE level = :level AND start >= :start AND start < :end AND id NOT IN (
    SELECT grid FROM chunks WHERE level = :level AND start >= :start AND start < :end
)
"""


def put(session: Session, pieces: Iterable[Piece]) -> int:
    """Insert pieces, and their grids once for all series that share them; return how many."""
    grids: dict[tuple[int, bytes], int] = {}
    rows = []
    for piece in pieces:
        key = (piece.level, array("q", piece.times).tobytes())
        grid = grids.get(key)
        if grid is None:
            grid = grids[key] = _grid(session, piece)
        rows.append(
            {
                "series": piece.series,
                "level": piece.level,
                "start": piece.start,
                "stop": piece.stop,
                "grid": grid,
                "data": piece.data,
            }
        )
    if rows:
        session.execute_many(_PUT, rows)
    return len(rows)


def read(
    session: Session, *, series: int, level: Level, start: int, end: int, reach: int | None = None
) -> list[Stored]:
    """Return data and times of a series' chunks that may hold points with start <= time < end.

    Args:
        session: any.
        series: its number.
        level: of the chunks.
        start: the range's begin, ms.
        end: the range's end, not part of it, ms.
        reach: how long before `start` a chunk may begin, ms; None: as long as one can be.
    """
    given = {
        "series": series,
        "level": level.number,
        "from": start - (level.spans[-1] if reach is None else reach),
        "start": start,
        "end": end,
    }
    rows: Any = session.execute(_READ, given).rows
    return [(data, _times(grid)) for data, grid in rows]


def join(session: Session, *, level: Level, span: int, begin: int, end: int, limit: int) -> int:
    """Join chunks of the same series and span, at most `limit` groups; return how many were.

    Args:
        session: a writing one.
        level: of the chunks.
        span: that a joined chunk covers at most, ms.
        begin: only chunks that start then or later, a whole span, ms.
        end: only chunks that start before, a whole span, ms.
        limit: keeps the transaction short.
    """
    due: Any = session.execute(
        _DUE,
        {"level": level.number, "span": span, "from": begin, "until": end, "limit": limit},
    ).rows
    for series, start in due:
        stop = start + span
        stored = read(session, series=series, level=level, start=start, end=stop, reach=0)
        given = {"series": series, "level": level.number, "start": start, "end": stop}
        session.execute(_DROP, given)
        put(session, joined_pieces(series, level, span, stored))
    if due and len(due) < limit:
        session.execute(_UNUSED_GRIDS, {"level": level.number, "start": begin, "end": end})
    return len(due)


def forget(session: Session, level: Level, *, now: int) -> None:
    """Delete what is older than the level keeps."""
    before = level.forgets_before(now)
    session.execute(
        "DELETE FROM chunks WHERE level = :level AND start < :before AND stop <= :before",
        {"level": level.number, "before": before},
    )
    session.execute(
        "DELETE FROM grids WHERE level = :level AND start < :before",
        {"level": level.number, "before": before - level.spans[-1]},
    )


def _grid(session: Session, piece: Piece) -> int:
    packed = len(piece.times).to_bytes(2, "little") + encode_whole(piece.times)
    given = {"level": piece.level, "start": piece.start, "times": packed}
    sql = "SELECT id FROM grids WHERE level = :level AND start = :start AND times = :times"
    found: Any = session.execute(sql, given).scalar()
    if found is None:
        sql = "INSERT INTO grids (level, start, times) VALUES (:level, :start, :times) RETURNING id"
        found = session.execute(sql, given).scalar()
    return int(found)


@lru_cache(maxsize=512)
def _times(grid: bytes) -> Sequence[int]:
    return array("q", decode_whole(grid[2:], int.from_bytes(grid[:2], "little")))
