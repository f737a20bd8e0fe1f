-- The trouble stale-statistics: notices of 500 trial campaigns, each to one of ten testers.
CREATE TABLE notices (
    id INTEGER PRIMARY KEY,
    user_id INTEGER NOT NULL,
    campaign TEXT NOT NULL,
    sent_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX notices_campaign ON notices (campaign);

CREATE INDEX notices_user ON notices (user_id);

WITH RECURSIVE series (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < 500)
INSERT INTO notices (id, user_id, campaign, sent_ms)
SELECT n, 1 + n % 10, 'trial ' || n, n FROM series;
