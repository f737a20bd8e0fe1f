-- The settings that checks judge, in their base units; and whatever waits for a restart.
SELECT name, setting, coalesce(unit, '') AS unit, source, context, pending_restart
FROM pg_settings
WHERE pending_restart OR name IN (
    'autovacuum', 'checkpoint_timeout', 'data_directory', 'effective_cache_size', 'fsync',
    'full_page_writes', 'ignore_checksum_failure', 'listen_addresses', 'maintenance_work_mem',
    'max_connections', 'max_wal_size', 'password_encryption', 'random_page_cost',
    'reserved_connections', 'seq_page_cost', 'shared_buffers', 'ssl',
    'superuser_reserved_connections', 'synchronous_commit', 'synchronous_standby_names',
    'track_counts', 'work_mem', 'zero_damaged_pages', 'autovacuum_max_workers')
ORDER BY name
