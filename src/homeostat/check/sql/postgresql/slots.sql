-- Replication slots: whether somebody reads, and how much WAL is kept for them.
SELECT slot_name::text AS name, slot_type AS type, active AS is_active,
       coalesce(wal_status, '') AS wal_status,
       CASE WHEN NOT pg_is_in_recovery()
            THEN pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::float8 END AS kept_bytes,
       temporary AS is_temporary,
       current_setting('max_slot_wal_keep_size') AS kept_max
FROM pg_replication_slots
ORDER BY slot_name
