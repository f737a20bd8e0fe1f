-- Events spread over the span.
WITH mixed (id, n, k, x) AS MATERIALIZED (
    SELECT id, n, events, ((h + n * 40503 + 101) * 1597334677) & 2147483647
    FROM person {times:events}
), hashed (id, n, k, h) AS MATERIALIZED (
    SELECT id, n, k, ((x + (x >> 15)) * 1181783497) & 2147483647 FROM mixed
), timed (id, h, at) AS MATERIALIZED (
    SELECT id, h, :now_ms - :span_ms + ((n * 1024 + (h & 1023)) * :span_ms) / (k * 1024)
    FROM hashed
)
INSERT INTO analytics_events (user_id, id, kind, screen, duration_ms, occurred_ms)
SELECT
    id,
    at * 1048576 + (h & 1048575),
    CASE (h >> 10) & 7 WHEN 0 THEN 'open' WHEN 1 THEN 'share' WHEN 2 THEN 'tap' ELSE 'view' END,
    CASE (h >> 13) & 3
        WHEN 0 THEN 'history' WHEN 1 THEN 'home' WHEN 2 THEN 'insights' ELSE 'profile'
    END,
    (h >> 15) & 16383,
    at
FROM timed
