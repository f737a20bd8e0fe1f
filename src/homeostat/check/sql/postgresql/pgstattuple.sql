-- Where the extension is that measures indexes, and whether this role may use it.
SELECT quote_ident(n.nspname) AS schema_name,
       has_function_privilege(current_user, p.oid, 'EXECUTE') AS is_usable
FROM pg_extension e
JOIN pg_namespace n ON n.oid = e.extnamespace
JOIN pg_proc p ON p.pronamespace = n.oid AND p.proname = 'pgstatindex'
     AND p.proargtypes[0] = 'regclass'::regtype
WHERE e.extname = 'pgstattuple'
LIMIT 1
