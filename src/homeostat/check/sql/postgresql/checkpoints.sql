-- Checkpoints by what began them; since PostgreSQL 17 they have a view of their own.
-- The WAL is counted from a reset of its own, so only its rate can be set beside them.
SELECT checkpoints_timed::float8 AS timed, checkpoints_req::float8 AS requested,
       extract(epoch FROM clock_timestamp() - stats_reset)::float8 AS seconds,
       (SELECT wal_bytes / nullif(extract(epoch FROM clock_timestamp() - stats_reset), 0)
        FROM pg_stat_wal)::float8 AS wal_bytes_per_second
FROM pg_stat_bgwriter
