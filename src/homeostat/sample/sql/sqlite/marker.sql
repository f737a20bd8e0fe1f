-- Shows that the database is the demo's own, and how far its seeding came. One row.
CREATE TABLE homeostat_demo (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL,
    users INTEGER NOT NULL,
    random_seed INTEGER NOT NULL,
    now_ms INTEGER NOT NULL,
    loaded INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('seeding', 'seeded'))
) STRICT;
