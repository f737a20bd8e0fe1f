-- Foreign keys of the user's tables: their columns by number and name. A key of a part that comes
-- from its whole is listed with the whole.
SELECT k.oid::int8 AS oid,
       k.conrelid::int8 AS table_oid,
       k.conname::text AS name,
       k.conkey::int[] AS numbers,
       ARRAY(SELECT quote_ident(a.attname) FROM unnest(k.conkey) WITH ORDINALITY u (number, place)
             JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.number
             ORDER BY u.place) AS columns,
       ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY u (number, place)
             JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.number
             ORDER BY u.place) AS bare_columns,
       format('%I.%I', n.nspname, p.relname) AS parent_name,
       k.confrelid::int8 AS parent_oid,
       k.confdeltype::text AS on_delete
FROM pg_constraint k
JOIN pg_class p ON p.oid = k.confrelid
JOIN pg_namespace n ON n.oid = p.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0
ORDER BY k.oid
