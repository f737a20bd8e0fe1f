-- tables with the columns that can be written; a table in parts has no bytes and rows of its own
SELECT c.oid::int8 AS oid, c.relkind::text AS kind,
       n.nspname AS schema_name, c.relname AS table_name,
       pg_table_size(c.oid)::int8 AS bytes,
       CASE WHEN c.relkind = 'p' THEN 0 ELSE greatest(c.reltuples, 0)::float8 END AS row_count,
       ARRAY(SELECT a.attname::text FROM pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
               AND a.attgenerated = '' ORDER BY a.attnum) AS columns
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND NOT EXISTS (SELECT 1 FROM pg_depend d
                  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY n.nspname, c.relname
