-- How many clients are connected, by what they do, and the limit for this user: the smallest of the
-- server's (reserved connections taken off), the role's and the database's.
-- Without pg_read_all_stats backend_type is NULL; what has a database and a user is a client.
SELECT count(*)::float8 AS used,
       count(*) FILTER (WHERE state = 'idle')::float8 AS idle,
       count(*) FILTER (WHERE state = 'active')::float8 AS active,
       least(
           current_setting('max_connections')::int
               - current_setting('superuser_reserved_connections')::int
               - coalesce(current_setting('reserved_connections', true)::int, 0),
           (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user),
           (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database())
       )::float8 AS used_max,
       pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS sees_all
FROM pg_stat_activity
WHERE coalesce(backend_type, 'client backend') = 'client backend'
  AND datid IS NOT NULL AND usesysid IS NOT NULL
