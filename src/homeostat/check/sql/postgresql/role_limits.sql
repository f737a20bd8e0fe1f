-- Roles with a limit of connections whose sessions are in this database, ours left out: it is told
-- with the limits that we meet ourselves. A role's sessions count wherever they are; superusers are
-- not held to it. What a session does is seen with pg_read_all_stats only.
SELECT r.rolname AS name, r.rolconnlimit::float8 AS used_max, count(*)::float8 AS used,
       count(*) FILTER (WHERE a.state = 'idle')::float8 AS idle
FROM pg_roles r
JOIN pg_stat_activity a ON a.usesysid = r.oid AND a.datid IS NOT NULL
WHERE r.rolconnlimit >= 0 AND NOT r.rolsuper AND r.rolname <> current_user
  AND coalesce(a.backend_type, 'client backend') = 'client backend'
GROUP BY r.rolname, r.rolconnlimit
HAVING bool_or(a.datname = current_database())
ORDER BY count(*) / greatest(r.rolconnlimit, 1)::float8 DESC
