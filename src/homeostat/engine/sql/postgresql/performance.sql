-- The readings of a performance tick in one row: levels of this moment, and running totals of this
-- database and of the server's WAL.
WITH sessions AS (
    SELECT pid <> pg_backend_pid() AS other, state, wait_event_type,
           extract(epoch FROM clock_timestamp() - xact_start)::float8 AS transaction_seconds,
           extract(epoch FROM clock_timestamp() - state_change)::float8 AS state_seconds
    FROM pg_stat_activity
    WHERE coalesce(backend_type, 'client backend') = 'client backend'
      AND datid IS NOT NULL AND usesysid IS NOT NULL
), clients AS (
    SELECT count(*)::float8 AS used,
           count(*) FILTER (WHERE other AND state = 'active')::float8 AS active,
           count(*) FILTER (WHERE wait_event_type = 'Lock')::float8 AS blocked,
           count(*) FILTER (WHERE state LIKE 'idle in transaction%')::float8 AS idle_transactions,
           max(transaction_seconds) FILTER (WHERE other) AS longest_transaction,
           max(state_seconds) FILTER (WHERE state LIKE 'idle in transaction%') AS idle_transaction
    FROM sessions
)
SELECT clients.*,
       totals.xact_commit::float8 AS commits,
       totals.xact_rollback::float8 AS rollbacks,
       totals.tup_returned::float8 AS rows_read,
       totals.tup_fetched::float8 AS rows_fetched,
       totals.tup_inserted::float8 AS rows_inserted,
       totals.tup_updated::float8 AS rows_updated,
       totals.tup_deleted::float8 AS rows_deleted,
       totals.blks_read::float8 AS blocks_read,
       totals.blks_hit::float8 AS blocks_hit,
       totals.temp_bytes::float8 AS temp_bytes,
       totals.deadlocks::float8 AS deadlocks,
       totals.conflicts::float8 AS conflicts,
       wal.wal_bytes::float8 AS wal_bytes,
       pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS sees_all
FROM clients, pg_stat_wal AS wal, pg_stat_database AS totals
WHERE totals.datname = current_database()
