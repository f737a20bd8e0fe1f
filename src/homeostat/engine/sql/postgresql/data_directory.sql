-- Where the server keeps its files, and since when it runs; needs pg_read_all_settings.
SELECT current_setting('data_directory') AS directory,
       extract(epoch FROM pg_postmaster_start_time())::float8 AS started
