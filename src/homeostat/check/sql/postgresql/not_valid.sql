-- Constraints of the user's tables that were never proven for the rows that were there.
SELECT format('%I.%I', n.nspname, c.relname) AS table_name,
       quote_ident(k.conname) AS name,
       k.contype::text AS kind,
       greatest(c.reltuples, 0)::float8 AS rows_counted
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT k.convalidated AND k.contype IN ('f', 'c') AND k.conparentid = 0
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY k.oid
