-- Clients with a transaction open or waiting for a lock: for how long, and who holds it.
-- Without pg_read_all_stats those of other users have no times and no texts.
SELECT pid, coalesce(usename, '')::text AS role,
       coalesce(datname, '')::text AS database,
       datname = current_database() AS is_here,
       coalesce(application_name, '') AS application,
       coalesce(host(client_addr), 'local') AS client,
       coalesce(state, '') AS state,
       coalesce(extract(epoch FROM clock_timestamp() - state_change), 0)::float8 AS state_seconds,
       coalesce(extract(epoch FROM clock_timestamp() - query_start), 0)::float8 AS query_seconds,
       coalesce(extract(epoch FROM clock_timestamp() - xact_start), 0)::float8
           AS transaction_seconds,
       greatest(age(backend_xmin), age(backend_xid))::float8 AS held_transactions,
       CASE WHEN wait_event_type = 'Lock' THEN pg_blocking_pids(pid) ELSE '{}'::int[] END
           AS blocked_by,
       coalesce(query, '') AS query
FROM pg_stat_activity
WHERE coalesce(backend_type, 'client backend') = 'client backend'
  AND datid IS NOT NULL AND usesysid IS NOT NULL AND pid <> pg_backend_pid()
  AND (xact_start IS NOT NULL OR wait_event_type = 'Lock')
ORDER BY xact_start NULLS LAST, pid
LIMIT 1000
