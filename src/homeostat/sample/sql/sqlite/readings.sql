-- The trouble hurtful-index: readings whose score is written all the time and looked up rarely.
CREATE TABLE readings (
    id INTEGER PRIMARY KEY,
    score INTEGER NOT NULL,
    note TEXT NOT NULL
) STRICT;

WITH RECURSIVE series (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < 90000)
INSERT INTO readings (id, score, note)
SELECT n, (n * 7919) % 100003, 'how it went, in a few words' FROM series;
