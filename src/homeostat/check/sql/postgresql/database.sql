-- The database and its server in one row: since when statistics count, whether others copy it,
-- whether this role sees everything, and running totals.
-- stats_reset is NULL when statistics were never reset; they count at least since the server began.
SELECT current_database()::text AS name,
       quote_ident(current_database()) AS quoted_name,
       current_setting('server_version_num')::int AS version,
       extract(epoch FROM coalesce(d.stats_reset, pg_postmaster_start_time()))::float8 AS since,
       extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float8 AS up_seconds,
       extract(epoch FROM clock_timestamp())::float8 AS at,
       pg_is_in_recovery() AS is_replica,
       (SELECT count(*) FROM pg_stat_replication)::int AS standbys,
       pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS sees_all,
       pg_has_role(current_user, 'pg_read_all_settings', 'USAGE') AS sees_settings,
       (SELECT sum(c.relpages::float8) FROM pg_class c WHERE c.relkind IN ('r', 'i', 'm', 't'))
           * current_setting('block_size')::float8 AS bytes,  -- asking the files would take longer
       current_setting('block_size')::float8 AS block_bytes,
       d.blks_hit::float8 AS blocks_hit,
       d.blks_read::float8 AS blocks_read,
       d.temp_bytes::float8 AS temporary_bytes,
       d.temp_files::float8 AS temporary_files,
       d.deadlocks::float8 AS deadlocks,
       d.xact_commit::float8 AS commits,
       d.xact_rollback::float8 AS rollbacks,
       d.checksum_failures::float8 AS checksum_failures
FROM pg_stat_database d
WHERE d.datname = current_database()
