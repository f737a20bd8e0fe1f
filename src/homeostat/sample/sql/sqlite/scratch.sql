-- Helpers of the loading connection only: they vanish with it.
CREATE TEMP TABLE number (n INTEGER PRIMARY KEY);

CREATE TEMP TABLE person (
    id INTEGER PRIMARY KEY,
    h INTEGER NOT NULL,
    letters TEXT NOT NULL,
    assessments INTEGER NOT NULL,
    sessions INTEGER NOT NULL,
    events INTEGER NOT NULL
);

CREATE TEMP TABLE stack (
    personality_type TEXT PRIMARY KEY,
    ni INTEGER, ne INTEGER, si INTEGER, se INTEGER, ti INTEGER, te INTEGER, fi INTEGER, fe INTEGER
);

WITH RECURSIVE series (n) AS (
    SELECT 0 UNION ALL SELECT n + 1 FROM series WHERE n < 4999
)
INSERT INTO number SELECT n FROM series;
