-- Standbys of this server: how far behind, in time and in bytes of WAL.
SELECT pid, coalesce(application_name, '') AS application,
       coalesce(host(client_addr), 'local') AS client, state,
       coalesce(extract(epoch FROM replay_lag), 0)::float8 AS lag_seconds,
       CASE WHEN NOT pg_is_in_recovery()
            THEN pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::float8 END AS lag_bytes,
       sync_state
FROM pg_stat_replication
ORDER BY pid
