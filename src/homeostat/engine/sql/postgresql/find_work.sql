-- Other sessions whose application_name starts so, by process and start time.
SELECT pid, extract(epoch FROM backend_start)::float8 AS started
FROM pg_stat_activity
WHERE coalesce(backend_type, 'client backend') = 'client backend'
  AND datid IS NOT NULL AND usesysid IS NOT NULL
  AND starts_with(application_name, :prefix)
  AND pid <> pg_backend_pid()
  AND NOT pid = ANY (:own::int[])
