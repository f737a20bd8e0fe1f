-- The process that answers and when it began: found on this machine, the server runs here too.
SELECT pg_backend_pid() AS pid, extract(epoch FROM backend_start)::float8 AS started
FROM pg_stat_activity WHERE pid = pg_backend_pid()
