-- where pg_stat_statements is, which columns its version has, and whether it can work
SELECT n.nspname AS schema_name,
       e.extversion AS version,
       (SELECT array_agg(a.attname::text) FROM pg_attribute a
        JOIN pg_class c ON c.oid = a.attrelid
        WHERE c.relname = 'pg_stat_statements' AND c.relnamespace = n.oid AND a.attnum > 0)
         AS columns,
       has_table_privilege(
         current_user, quote_ident(n.nspname) || '.pg_stat_statements', 'SELECT') AS readable,
       to_regclass(quote_ident(n.nspname) || '.pg_stat_statements_info') IS NOT NULL AS has_info,
       coalesce(current_setting('pg_stat_statements.track', true), '') AS track,
       current_user::text AS role
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'pg_stat_statements'
