-- the user's indexes; key columns by name, expressions as text
SELECT n.nspname AS schema_name, t.relname AS table_name, i.relname AS name,
       x.indisunique AS is_unique, (x.indisvalid AND x.indisready) AS is_valid,
       pg_get_indexdef(i.oid) AS definition, pg_get_expr(x.indpred, x.indrelid) AS condition,
       pg_relation_size(i.oid)::float8 AS bytes, s.idx_scan::float8 AS scans,
       EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.oid) AS is_constraint,
       ARRAY(SELECT coalesce(a.attname::text, pg_get_indexdef(i.oid, key.place::int, true))
             FROM generate_series(1, x.indnkeyatts) AS key (place)
             LEFT JOIN pg_attribute a
               ON a.attrelid = x.indrelid AND a.attnum = x.indkey[key.place - 1]
             ORDER BY key.place) AS columns
FROM pg_index x
JOIN pg_class i ON i.oid = x.indexrelid
JOIN pg_class t ON t.oid = x.indrelid
JOIN pg_namespace n ON n.oid = i.relnamespace
LEFT JOIN pg_stat_user_indexes s ON s.indexrelid = i.oid
WHERE t.relkind IN ('r', 'p', 'm') AND t.relpersistence <> 't'
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY n.nspname, t.relname, i.relname
