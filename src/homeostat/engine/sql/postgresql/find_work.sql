-- Other sessions whose application_name starts so, by process and start time.
SELECT pid, extract(epoch FROM backend_start)::float8 AS started
FROM pg_stat_activity
WHERE backend_type = 'client backend'
  AND starts_with(application_name, :prefix)
  AND pid <> pg_backend_pid()
  AND NOT pid = ANY (:own::int[])
