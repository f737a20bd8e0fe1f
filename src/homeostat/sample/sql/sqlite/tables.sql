-- The persona app on SQLite: every table is keyed by user and clustered by that key. Times are
-- milliseconds since 1970 UTC. An id is (milliseconds << 20) + 20 bits: it orders by time, and any
-- device can make one.
CREATE TABLE users (
    id INTEGER PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    personality_type TEXT CHECK (length(personality_type) = 4),
    plan TEXT NOT NULL CHECK (plan IN ('free', 'plus', 'team')),
    region TEXT NOT NULL,
    created_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE assessments (
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    id INTEGER NOT NULL,
    personality_type TEXT NOT NULL CHECK (length(personality_type) = 4),
    ni INTEGER NOT NULL,
    ne INTEGER NOT NULL,
    si INTEGER NOT NULL,
    se INTEGER NOT NULL,
    ti INTEGER NOT NULL,
    te INTEGER NOT NULL,
    fi INTEGER NOT NULL,
    fe INTEGER NOT NULL,
    confidence REAL NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    draft INTEGER NOT NULL CHECK (draft IN (0, 1)),
    completed_ms INTEGER,
    PRIMARY KEY (user_id, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE preferences (
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    updated_ms INTEGER NOT NULL,
    PRIMARY KEY (user_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    id INTEGER NOT NULL,
    device TEXT NOT NULL,
    started_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    PRIMARY KEY (user_id, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE analytics_events (
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    id INTEGER NOT NULL,
    kind TEXT NOT NULL,
    screen TEXT NOT NULL,
    duration_ms INTEGER NOT NULL,
    occurred_ms INTEGER NOT NULL,
    PRIMARY KEY (user_id, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE insights (
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    id INTEGER NOT NULL,
    assessment_id INTEGER NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    score INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    read_ms INTEGER,
    PRIMARY KEY (user_id, id),
    FOREIGN KEY (user_id, assessment_id) REFERENCES assessments (user_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
