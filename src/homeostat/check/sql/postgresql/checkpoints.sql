-- Checkpoints by what began them; since PostgreSQL 17 they have a view of their own.
SELECT checkpoints_timed::float8 AS timed, checkpoints_req::float8 AS requested,
       extract(epoch FROM clock_timestamp() - stats_reset)::float8 AS seconds
FROM pg_stat_bgwriter
