-- Whether a session waits for one of a copy: for a table that the copy reads, or, as an index that
-- is built CONCURRENTLY does, for transactions that began before (virtualxid). pg_locks and the
-- names of sessions are shown to every role; pg_blocking_pids is asked only for those that wait.
SELECT EXISTS (
    SELECT
    FROM (
        SELECT DISTINCT pid FROM pg_locks
        WHERE NOT granted AND locktype IN ('relation', 'virtualxid')
    ) AS w
    JOIN pg_stat_activity AS c ON c.pid = ANY (pg_blocking_pids(w.pid))
    WHERE c.application_name = :application
)
