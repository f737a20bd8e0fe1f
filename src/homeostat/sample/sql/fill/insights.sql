-- Two or three insights from every completed assessment, an hour apart; two in three were read.
WITH mixed (user_id, assessment_id, at, n, x) AS MATERIALIZED (
    SELECT
        user_id,
        id,
        completed_ms + (n + 1) * 3600000,
        n,
        (((id & 1048575) * 2039 + n * 40503 + user_id) & 2147483647) * 1597334677 & 2147483647
    FROM assessments {times:2 + (id & 15) / 11}
    WHERE user_id BETWEEN :low AND :high AND NOT draft
), hashed (user_id, assessment_id, at, h) AS MATERIALIZED (
    SELECT user_id, assessment_id, at, ((x + (x >> 15)) * 1181783497) & 2147483647 FROM mixed
)
INSERT INTO insights (user_id, id, assessment_id, kind, body, score, created_ms, read_ms)
SELECT
    user_id,
    at * 1048576 + (h & 1048575),
    assessment_id,
    CASE (h >> 10) & 3
        WHEN 0 THEN 'growth' WHEN 1 THEN 'habit' WHEN 2 THEN 'strength' ELSE 'tension'
    END,
    CASE (h >> 12) & 3
        WHEN 0 THEN 'You decide faster in the morning than in the evening.'
        WHEN 1 THEN 'Your last three answers lean the same way.'
        WHEN 2 THEN 'A pause before replying would suit your strengths.'
        ELSE 'You return to plans that others have already left.'
    END,
    (((h >> 14) & 127) * 100) / 127,
    at,
    CASE WHEN (h >> 21) % 3 > 0 THEN at + ((h >> 23) & 255) * 60000 END
FROM hashed
ORDER BY 1, 2
