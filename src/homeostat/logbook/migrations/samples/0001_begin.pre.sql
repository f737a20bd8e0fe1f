-- The tables of samples.db. Times are whole milliseconds since 1970 UTC.

-- Which measured thing has which number. `histogram` is null until the first known reading.
-- `reason` is why the newest unknown reading was unknown.

CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    database TEXT NOT NULL,
    metric TEXT NOT NULL,
    subject TEXT NOT NULL,
    histogram INTEGER,
    first_at INTEGER,
    last_at INTEGER,
    reason TEXT,
    reason_at INTEGER,
    UNIQUE (database, metric, subject)
) STRICT;

-- One wide row a tick, until it is transposed into chunks: the series numbers as 32-bit integers,
-- then as many doubles; histograms apart, as msgpack.

CREATE TABLE ticks (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    readings BLOB NOT NULL,
    histograms BLOB NOT NULL
) STRICT;

-- The times of the points of a chunk; all series that were read in the same ticks share one.

CREATE TABLE grids (
    id INTEGER PRIMARY KEY,
    level INTEGER NOT NULL,
    start INTEGER NOT NULL,
    times BLOB NOT NULL
) STRICT;

CREATE INDEX grids_by_time ON grids (level, start);

-- The points of one series over one span of one level (0 fine, 1 minute, 2 hour).

CREATE TABLE chunks (
    id INTEGER PRIMARY KEY,
    series INTEGER NOT NULL,
    level INTEGER NOT NULL,
    start INTEGER NOT NULL,
    stop INTEGER NOT NULL,
    grid INTEGER NOT NULL,
    data BLOB NOT NULL
) STRICT;

CREATE INDEX chunks_by_series ON chunks (series, level, start);

CREATE INDEX chunks_by_time ON chunks (level, start);
