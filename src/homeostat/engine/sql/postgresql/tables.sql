-- the user's tables with what statistics say; one row a column. The size of a table that somebody
-- has or wants for himself alone is null: asking for it would wait for him.
WITH locked AS (
  SELECT relation FROM pg_locks
  WHERE mode = 'AccessExclusiveLock' AND relation IS NOT NULL
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
SELECT n.nspname AS schema_name, c.relname AS table_name, c.relkind::text AS kind,
       c.reltuples::float8 AS row_count, CASE WHEN c.oid NOT IN (SELECT relation FROM locked)
            THEN pg_table_size(c.oid)::float8 END AS bytes,
       s.n_mod_since_analyze::float8 AS changed,
       extract(epoch FROM greatest(s.last_analyze, s.last_autoanalyze))::float8 AS analysed,
       a.attname AS column_name, format_type(a.atttypid, a.atttypmod) AS type,
       a.attnotnull AS not_null,
       (SELECT p.n_distinct::float8 FROM pg_stats p
        WHERE p.schemaname = n.nspname AND p.tablename = c.relname AND p.attname = a.attname
        ORDER BY p.inherited DESC LIMIT 1) AS distinct_count
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY n.nspname, c.relname, a.attnum
