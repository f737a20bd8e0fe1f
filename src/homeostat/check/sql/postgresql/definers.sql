-- Functions that run with their owner's rights, by whoever calls them, without a search_path of
-- their own: a caller can put his objects in front of those that they mean.
SELECT quote_ident(n.nspname) AS schema_name,
       format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) AS name,
       CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END AS kind,
       r.rolsuper AS by_superuser, quote_ident(r.rolname) AS owner,
       has_function_privilege('public', p.oid, 'EXECUTE') AS for_everybody
FROM pg_proc p
JOIN pg_namespace n ON n.oid = p.pronamespace
JOIN pg_roles r ON r.oid = p.proowner
WHERE p.prosecdef AND p.prokind IN ('f', 'p')
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND NOT coalesce(array_to_string(p.proconfig, ',') ~ '(^|,)search_path=', false)
  AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass
                  AND d.objid = p.oid AND d.deptype = 'e')
ORDER BY p.oid
