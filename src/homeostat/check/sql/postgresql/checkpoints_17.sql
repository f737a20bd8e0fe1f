-- Checkpoints by what began them, from PostgreSQL 17 on.
SELECT num_timed::float8 AS timed, num_requested::float8 AS requested,
       extract(epoch FROM clock_timestamp() - stats_reset)::float8 AS seconds
FROM pg_stat_checkpointer
