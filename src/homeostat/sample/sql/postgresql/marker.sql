-- Shows that the database is the demo's own, and how far its seeding came. One row.
CREATE TABLE homeostat_demo (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL,
    users BIGINT NOT NULL,
    random_seed BIGINT NOT NULL,
    now_ms BIGINT NOT NULL,
    loaded BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('seeding', 'seeded'))
);
