-- The readings of a health check in one row; NULL where there is nothing to tell.
-- The wraparound limit of transaction ids is 2^31 (manual, "Preventing Transaction ID Wraparound").
SELECT
    pg_database_size(current_database())::float8 AS database_bytes,
    (SELECT max(age(datfrozenxid)) FROM pg_database)::float8 / 2147483648 AS xid_age,
    (SELECT max(mxid_age(datminmxid)) FROM pg_database)::float8 / 2147483648 AS mxid_age,
    pg_is_in_recovery() AS is_replica,
    CASE
        WHEN NOT pg_is_in_recovery() THEN
            (SELECT max(extract(epoch FROM coalesce(replay_lag, '0')))
             FROM pg_stat_replication WHERE state = 'streaming')
        WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
        ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())
    END::float8 AS replication_lag_seconds,
    CASE WHEN NOT pg_is_in_recovery() THEN
        (SELECT max(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)) FROM pg_replication_slots)
    END::float8 AS slot_retained_bytes,
    (SELECT count(*) FROM pg_prepared_xacts)::float8 AS prepared_transactions,
    pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS sees_all
