-- The trouble stale-statistics: notices of 500 trial campaigns, each to one of ten testers. Nobody
-- refreshes this table's statistics unasked.
CREATE TABLE notices (
    id INTEGER PRIMARY KEY,
    user_id BIGINT NOT NULL,
    campaign TEXT NOT NULL,
    sent_ms BIGINT NOT NULL
) WITH (autovacuum_enabled = false);

CREATE INDEX notices_campaign ON notices (campaign);

CREATE INDEX notices_user ON notices (user_id);

INSERT INTO notices (id, user_id, campaign, sent_ms)
SELECT n, 1 + n % 10, 'trial ' || n, n FROM generate_series(1, 500) AS series (n);
