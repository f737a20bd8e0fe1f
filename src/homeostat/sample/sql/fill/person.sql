-- The users :low to :high of the seed, with a 31-bit hash each and how much they do: a Pareto tail
-- of exponent 2 (weight = 1 / sqrt(1 - u), mean 2), so that few users make most of the events.
WITH mixed (id, a) AS MATERIALIZED (
    SELECT n, ((n * 1103515245 + :random_seed) & 2147483647) FROM {users}
), twice (id, b) AS MATERIALIZED (
    SELECT id, ((a + (a >> 15)) * 1597334677) & 2147483647 FROM mixed
), hashed (id, h) AS MATERIALIZED (
    SELECT id, ((b + (b >> 13)) * 1181783497) & 2147483647 FROM twice
), weighed (id, h, weight) AS MATERIALIZED (
    SELECT id, h, CASE WHEN h < 2147475056 THEN 1.0 / sqrt(1.0 - h / 2147483648.0) ELSE 500.0 END
    FROM hashed
)
INSERT INTO person (id, h, letters, assessments, sessions, events)
SELECT
    id,
    h,
    CASE WHEN (h >> 3) & 3 = 0 THEN 'E' ELSE 'I' END
    || CASE WHEN (h >> 5) & 1 = 0 THEN 'S' ELSE 'N' END
    || CASE WHEN (h >> 6) & 1 = 0 THEN 'T' ELSE 'F' END
    || CASE WHEN (h >> 7) & 1 = 0 THEN 'J' ELSE 'P' END,
    1 + ((h >> 8) % 3),
    2 + CAST(floor(3 * weight + 0.5) AS BIGINT),
    4 + CAST(floor(9 * weight + 0.5) AS BIGINT)
FROM weighed
