-- The columns of tables of these names (lower case), with how many values each has by statistics.
SELECT n.nspname::text AS schema_name, c.relname::text AS table_name, c.oid::int8 AS oid,
       a.attnum::int AS number, a.attname::text AS column_name,
       format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS not_null,
       (SELECT max(p.n_distinct)::float8 FROM pg_stats p
        WHERE p.schemaname = n.nspname AND p.tablename = c.relname AND p.attname = a.attname)
           AS distinct_count
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p', 'm') AND lower(c.relname) = ANY (:names::text[])
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY n.nspname, c.relname, a.attnum
