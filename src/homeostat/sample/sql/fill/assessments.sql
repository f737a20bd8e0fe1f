-- One to three assessments a user; one in eight is a draft. Scores lie around the type's stack.
-- The last day is left for the insights that follow.
WITH mixed (id, letters, n, x) AS MATERIALIZED (
    SELECT id, letters, n, ((h + n * 40503 + 7) * 1597334677) & 2147483647
    FROM person {times:assessments}
), hashed (id, letters, n, h) AS MATERIALIZED (
    SELECT id, letters, n, ((x + (x >> 15)) * 1181783497) & 2147483647 FROM mixed
), timed (id, letters, h, at) AS MATERIALIZED (
    SELECT
        id,
        letters,
        h,
        :now_ms - :span_ms + ((n * 1024 + (h & 1023)) * (:span_ms - 86400000)) / 3072
    FROM hashed
)
INSERT INTO assessments (
    user_id, id, personality_type, ni, ne, si, se, ti, te, fi, fe, confidence, draft, completed_ms
)
SELECT
    timed.id,
    at * 1048576 + (h & 1048575),
    letters,
    ni + (h & 15),
    ne + ((h >> 2) & 15),
    si + ((h >> 4) & 15),
    se + ((h >> 6) & 15),
    ti + ((h >> 8) & 15),
    te + ((h >> 10) & 15),
    fi + ((h >> 12) & 15),
    fe + ((h >> 14) & 15),
    0.5 + ((h >> 16) & 511) / 1024.0,
    (h >> 25) & 7 = 0,
    CASE WHEN (h >> 25) & 7 > 0 THEN at END
FROM timed
INNER JOIN stack ON stack.personality_type = timed.letters
ORDER BY 1, 2
