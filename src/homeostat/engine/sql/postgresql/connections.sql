-- Without pg_read_all_stats backend_type is NULL; what has a database and a user is a client.
-- How many clients wait for a lock, and how many are connected of how many: by whichever limit is
-- nearest, the server's (reserved connections taken off), this role's or this database's.
WITH clients AS (
    SELECT datname, usename, wait_event_type
    FROM pg_stat_activity
    WHERE coalesce(backend_type, 'client backend') = 'client backend'
      AND datid IS NOT NULL AND usesysid IS NOT NULL
), limits AS (
    SELECT (SELECT count(*) FROM clients) AS used,
           current_setting('max_connections')::int
               - current_setting('superuser_reserved_connections')::int
               - coalesce(current_setting('reserved_connections', true)::int, 0) AS used_max
    UNION ALL
    SELECT (SELECT count(*) FROM clients WHERE usename = current_user), rolconnlimit
    FROM pg_roles WHERE rolname = current_user AND rolconnlimit >= 0
    UNION ALL
    SELECT (SELECT count(*) FROM clients WHERE datname = current_database()), datconnlimit
    FROM pg_database WHERE datname = current_database() AND datconnlimit >= 0
)
SELECT used::float8, used_max::float8,
       (SELECT count(*) FROM clients WHERE wait_event_type = 'Lock')::float8 AS waiting,
       pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS sees_all
FROM limits
ORDER BY used::float8 / greatest(used_max, 1) DESC
LIMIT 1
