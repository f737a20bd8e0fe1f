-- End one client session, if it is there, and wait for its end up to :wait_ms milliseconds.
SELECT pg_terminate_backend(pid, :wait_ms)
FROM pg_stat_activity
WHERE pid = :pid
  AND coalesce(backend_type, 'client backend') = 'client backend'
  AND datid IS NOT NULL AND usesysid IS NOT NULL
