-- Whether a session waits for a table that the sessions of a copy hold. pg_locks and the names of
-- sessions are shown to every role; pg_blocking_pids is asked only for those that wait.
SELECT EXISTS (
    SELECT
    FROM (
        SELECT DISTINCT pid FROM pg_locks WHERE NOT granted AND locktype = 'relation'
    ) AS w
    JOIN pg_stat_activity AS c ON c.pid = ANY (pg_blocking_pids(w.pid))
    WHERE c.application_name = :application OR c.pid = :holder
)
