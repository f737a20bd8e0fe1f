-- The persona app on PostgreSQL: the columns of sql/sqlite/tables.sql. Keys come after the rows
-- (constraints.sql): built once over all rows, not checked row by row.
CREATE TABLE users (
    id BIGINT NOT NULL,
    email TEXT NOT NULL,
    name TEXT NOT NULL,
    personality_type TEXT CHECK (length(personality_type) = 4),
    plan TEXT NOT NULL CHECK (plan IN ('free', 'plus', 'team')),
    region TEXT NOT NULL,
    created_ms BIGINT NOT NULL
);

CREATE TABLE assessments (
    user_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    personality_type TEXT NOT NULL CHECK (length(personality_type) = 4),
    ni SMALLINT NOT NULL,
    ne SMALLINT NOT NULL,
    si SMALLINT NOT NULL,
    se SMALLINT NOT NULL,
    ti SMALLINT NOT NULL,
    te SMALLINT NOT NULL,
    fi SMALLINT NOT NULL,
    fe SMALLINT NOT NULL,
    confidence DOUBLE PRECISION NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    draft BOOLEAN NOT NULL,
    completed_ms BIGINT
);

CREATE TABLE preferences (
    user_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    updated_ms BIGINT NOT NULL
);

CREATE TABLE sessions (
    user_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    device TEXT NOT NULL,
    started_ms BIGINT NOT NULL,
    ended_ms BIGINT
);

CREATE TABLE analytics_events (
    user_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    kind TEXT NOT NULL,
    screen TEXT NOT NULL,
    duration_ms INTEGER NOT NULL,
    occurred_ms BIGINT NOT NULL
);

CREATE TABLE insights (
    user_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    assessment_id BIGINT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    score SMALLINT NOT NULL,
    created_ms BIGINT NOT NULL,
    read_ms BIGINT
);
