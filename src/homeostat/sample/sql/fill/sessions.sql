-- Sessions of up to half an hour, spread over the span; one user in 32 is in one that goes on.
WITH mixed (id, n, k, x) AS MATERIALIZED (
    SELECT id, n, sessions, ((h + n * 40503 + 31) * 1597334677) & 2147483647
    FROM person {times:sessions}
), hashed (id, n, k, h) AS MATERIALIZED (
    SELECT id, n, k, ((x + (x >> 15)) * 1181783497) & 2147483647 FROM mixed
), timed (id, last, h, at) AS MATERIALIZED (
    SELECT
        id,
        n + 1 = k,
        h,
        :now_ms - :span_ms + ((n * 1024 + (h & 1023)) * (:span_ms - 1800000)) / (k * 1024)
    FROM hashed
)
INSERT INTO sessions (user_id, id, device, started_ms, ended_ms)
SELECT
    id,
    at * 1048576 + (h & 1048575),
    CASE WHEN (h >> 10) & 7 < 5 THEN 'phone' WHEN (h >> 10) & 7 < 7 THEN 'web' ELSE 'tablet' END,
    at,
    CASE WHEN NOT (last AND (h >> 13) & 31 = 0) THEN at + 20000 + ((h >> 18) & 8191) * 200 END
FROM timed
