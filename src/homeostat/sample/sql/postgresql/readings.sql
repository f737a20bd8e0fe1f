-- The trouble hurtful-index: readings whose score is written all the time and looked up rarely.
-- Pages have room, so that a write touches no index as long as the score is in none.
CREATE TABLE readings (
    id INTEGER PRIMARY KEY,
    score INTEGER NOT NULL,
    note TEXT NOT NULL
) WITH (fillfactor = 50);

INSERT INTO readings (id, score, note)
SELECT n, (n * 7919) % 100003, 'how it went, in a few words'
FROM generate_series(1, 90000) AS series (n);
