-- What everybody may do: change or read tables, and create in schemas.
SELECT 'table' AS kind, format('%I.%I', n.nspname, c.relname) AS name,
       array_to_string(array_agg(g.privilege_type ORDER BY g.privilege_type), ', ') AS rights
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL aclexplode(c.relacl) g
WHERE g.grantee = 0 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relacl IS NOT NULL
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                  AND d.objid = c.oid AND d.deptype = 'e')
GROUP BY n.nspname, c.relname
UNION ALL
SELECT 'schema', quote_ident(n.nspname), 'CREATE'
FROM pg_namespace n
CROSS JOIN LATERAL aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) g
WHERE g.grantee = 0 AND g.privilege_type = 'CREATE'
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY 1, 2
