-- Checkpoints by what began them, from PostgreSQL 17 on.
-- The WAL is counted from a reset of its own, so only its rate can be set beside them.
SELECT num_timed::float8 AS timed, num_requested::float8 AS requested,
       extract(epoch FROM clock_timestamp() - stats_reset)::float8 AS seconds,
       (SELECT wal_bytes / nullif(extract(epoch FROM clock_timestamp() - stats_reset), 0)
        FROM pg_stat_wal)::float8 AS wal_bytes_per_second
FROM pg_stat_checkpointer
