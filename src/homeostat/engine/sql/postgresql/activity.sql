-- Who else is connected and who waits for whom: at most :limit sessions, the longest transactions
-- first.
-- Without pg_read_all_stats the state of other users' sessions is NULL. Blockers are asked for only
-- where a session waits for a lock: pg_blocking_pids takes the lock manager's own locks.
WITH clients AS MATERIALIZED (
    SELECT pid, datname, usename, application_name, state, state_change, xact_start,
           wait_event_type, wait_event, query,
           CASE WHEN wait_event_type = 'Lock' THEN pg_blocking_pids(pid) ELSE '{}'::int[] END
               AS blocked_by
    FROM pg_stat_activity
    WHERE coalesce(backend_type, 'client backend') = 'client backend'
      AND datid IS NOT NULL AND usesysid IS NOT NULL  -- without rights, backend_type is NULL
      AND pid <> pg_backend_pid()
)
SELECT pid,
       coalesce(usename, '') AS user_name,
       coalesce(datname, '') AS database_name,
       coalesce(application_name, '') AS application,
       coalesce(state, '') AS state,
       coalesce(extract(epoch FROM clock_timestamp() - state_change), 0)::float8 AS state_seconds,
       extract(epoch FROM clock_timestamp() - xact_start)::float8 AS transaction_seconds,
       coalesce(wait_event_type, '') AS wait_type,
       coalesce(wait_event, '') AS wait_event,
       blocked_by,
       coalesce(query, '') AS query
FROM clients
ORDER BY pid = ANY (SELECT unnest(blocked_by) FROM clients) DESC, xact_start NULLS LAST, pid
LIMIT :limit
