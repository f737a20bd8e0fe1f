-- What the rights of a role hang on, in one row: who is asked (:name), which roles own tables, in
-- which schemas those owners may not create an index, and whose service this is.
WITH asked AS (
    SELECT oid, rolsuper, rolcanlogin FROM pg_roles WHERE rolname = CAST(:name AS text)
), tables AS (
    SELECT c.relowner AS owner, n.oid AS schema, n.nspname AS schema_name
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'm') AND c.relpersistence <> 't'
      AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
      AND NOT EXISTS (SELECT 1 FROM pg_depend d
                      WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                        AND d.deptype = 'e')  -- an extension's
)
SELECT current_database()::text AS database_name,
       current_setting('server_version_num')::int / 10000 AS version,
       (SELECT rolsuper FROM asked) AS is_superuser,
       coalesce((SELECT pg_has_role(oid, 'pg_monitor', 'USAGE') FROM asked), false) AS monitors,
       coalesce((SELECT pg_has_role(oid, 'pg_read_all_data', 'USAGE') FROM asked), false) AS reads,
       coalesce((SELECT pg_has_role(oid, 'pg_signal_backend', 'USAGE') FROM asked), false)
         AS signals,
       coalesce((SELECT has_table_privilege(oid, 'pg_catalog.pg_hba_file_rules', 'SELECT')
                        AND has_function_privilege(oid, 'pg_catalog.pg_hba_file_rules()', 'EXECUTE')
                 FROM asked), false) AS sees_hba,
       coalesce((SELECT has_database_privilege(oid, current_database(), 'CONNECT') FROM asked),
                false) AS connects,
       ARRAY(SELECT DISTINCT r.rolname::text FROM tables t JOIN pg_roles r ON r.oid = t.owner
             WHERE NOT coalesce((SELECT pg_has_role(a.oid, t.owner, 'USAGE') FROM asked a), false)
             ORDER BY 1) AS owners,
       ARRAY(SELECT DISTINCT t.schema_name::text FROM tables t
             WHERE NOT has_schema_privilege(t.owner, t.schema, 'CREATE')
               AND NOT coalesce((SELECT has_schema_privilege(a.oid, t.schema, 'CREATE')
                                 FROM asked a), false)
             ORDER BY 1) AS closed_schemas,
       (SELECT n.nspname::text FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
        WHERE e.extname = 'pg_stat_statements') AS statements_schema,
       coalesce((SELECT has_schema_privilege('public', e.extnamespace, 'USAGE')
                        OR (SELECT has_schema_privilege(a.oid, e.extnamespace, 'USAGE')
                            FROM asked a)
                 FROM pg_extension e WHERE e.extname = 'pg_stat_statements'), true)
         AS statements_open,
       CASE WHEN to_regrole('rds_superuser') IS NOT NULL THEN 'rds'
            WHEN to_regrole('cloudsqlsuperuser') IS NOT NULL THEN 'cloudsql'
            WHEN to_regrole('azure_pg_admin') IS NOT NULL THEN 'azure'
            ELSE 'none' END AS managed
