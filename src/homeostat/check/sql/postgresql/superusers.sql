-- Roles that may do everything and can log in, besides the one that made the cluster.
SELECT quote_ident(rolname) AS name, rolname::text AS bare_name,
       (SELECT count(*) FROM pg_stat_activity a WHERE a.usesysid = r.oid)::int AS sessions
FROM pg_roles r
WHERE rolsuper AND rolcanlogin AND oid <> 10  -- 10: made by initdb, on every cluster
ORDER BY rolname
