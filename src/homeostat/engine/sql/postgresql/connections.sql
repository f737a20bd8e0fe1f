-- Without pg_read_all_stats backend_type is NULL; what has a database and a user is a client.
-- Each limit that the next connection to this database as this role meets, with those that count
-- against it: the server's (reserved connections taken off), this database's and this role's. The
-- nearest to its end comes first. And how many clients of the server wait for a lock.
WITH clients AS (
    SELECT datname, usename, state, wait_event_type
    FROM pg_stat_activity
    WHERE coalesce(backend_type, 'client backend') = 'client backend'
      AND datid IS NOT NULL AND usesysid IS NOT NULL
), limits AS (
    SELECT 'server' AS scope, NULL::name AS name,
           current_setting('max_connections')::int
               - current_setting('superuser_reserved_connections')::int
               - coalesce(current_setting('reserved_connections', true)::int, 0) AS used_max
    UNION ALL
    SELECT 'database', datname, datconnlimit
    FROM pg_database WHERE datname = current_database() AND datconnlimit >= 0
    UNION ALL
    SELECT 'role', rolname, rolconnlimit
    FROM pg_roles WHERE rolname = current_user AND rolconnlimit >= 0
), counted AS (
    SELECT l.scope, coalesce(l.name::text, '') AS name, l.used_max,
           count(c.datname) AS used, count(c.datname) FILTER (WHERE c.state = 'idle') AS idle
    FROM limits l
    LEFT JOIN clients c ON CASE l.scope WHEN 'server' THEN true
                                        WHEN 'database' THEN c.datname = l.name
                                        ELSE c.usename = l.name END
    GROUP BY l.scope, l.name, l.used_max
)
SELECT scope, name, used::float8, used_max::float8, idle::float8,
       (SELECT count(*) FROM clients WHERE wait_event_type = 'Lock')::float8 AS waiting,
       pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS sees_all
FROM counted
ORDER BY used::float8 / greatest(used_max, 1) DESC
