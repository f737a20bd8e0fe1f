-- The tables of logbook.db. Each row is kept whole as JSON in `row`; the columns beside it are
-- copies for finding and ordering. So an older Homeostat reads what a newer one wrote (it ignores
-- fields it does not know) and the other way round (missing fields take their default).

CREATE TABLE databases (
    key TEXT PRIMARY KEY,
    row TEXT NOT NULL
) STRICT;

CREATE TABLE findings (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    database TEXT NOT NULL,
    state TEXT NOT NULL,
    row TEXT NOT NULL
) STRICT;

CREATE INDEX findings_by_database ON findings (database, id);

CREATE INDEX findings_open ON findings (id) WHERE state = 'open';

CREATE TABLE remedies (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    database TEXT NOT NULL,
    state TEXT NOT NULL,
    row TEXT NOT NULL
) STRICT;

CREATE INDEX remedies_by_database ON remedies (database, id);

CREATE INDEX remedies_by_state ON remedies (state, id);

CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    database TEXT NOT NULL,
    state TEXT NOT NULL,
    row TEXT NOT NULL
) STRICT;

CREATE INDEX runs_by_database ON runs (database, id);

CREATE INDEX runs_by_state ON runs (state, id);

CREATE TABLE steps (
    run INTEGER NOT NULL REFERENCES runs (id),
    number INTEGER NOT NULL,
    row TEXT NOT NULL,
    PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID;

-- `body` is the entry as canonical JSON, the previous entry's hash included; `hash` is the SHA-256
-- of exactly these bytes. Nothing of an entry stands outside of what is hashed.

CREATE TABLE audit (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    body TEXT NOT NULL,
    hash TEXT NOT NULL
) STRICT;

CREATE TRIGGER audit_keeps BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'audit entries are never changed');
END;

CREATE TRIGGER audit_stays BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'audit entries are never deleted');
END;

-- What was committed, in order; the newest are kept. AUTOINCREMENT: a number is never used again,
-- because browsers resume by it.

CREATE TABLE events (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    kind TEXT NOT NULL,
    database TEXT NOT NULL,
    data TEXT NOT NULL
) STRICT;

CREATE TABLE "values" (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    updated REAL NOT NULL
) STRICT, WITHOUT ROWID;

-- Who owns a scope. `expires` is null once it was given back; the row and its epoch stay for ever,
-- so that an epoch is never given out twice.

CREATE TABLE tenures (
    scope TEXT PRIMARY KEY,
    epoch INTEGER NOT NULL,
    expires REAL,
    owner TEXT NOT NULL
) STRICT, WITHOUT ROWID;
