-- What the archiver of WAL did last; the archive's command is seen by pg_read_all_settings only.
SELECT archived_count::float8 AS archived, failed_count::float8 AS failed,
       extract(epoch FROM clock_timestamp() - last_archived_time)::float8 AS archived_seconds,
       extract(epoch FROM clock_timestamp() - last_failed_time)::float8 AS failed_seconds,
       last_failed_wal,
       last_failed_time > coalesce(last_archived_time, '-infinity') AS is_failing,
       current_setting('archive_mode') AS mode,
       current_setting('data_checksums') AS checksums
FROM pg_stat_archiver
