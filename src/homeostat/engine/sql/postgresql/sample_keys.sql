-- foreign keys of tables that hold rows; types are those of the referenced columns. A key to a
-- table in parts is listed once, not also for each part, in which not every row is.
SELECT k.conrelid::int8 AS child, k.confrelid::int8 AS parent,
       ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY u (number, place)
             JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.number
             ORDER BY u.place) AS columns,
       ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY u (number, place)
             JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.number
             ORDER BY u.place) AS referenced,
       ARRAY(SELECT format_type(a.atttypid, a.atttypmod)
             FROM unnest(k.confkey) WITH ORDINALITY u (number, place)
             JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.number
             ORDER BY u.place) AS types
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid AND c.relkind = 'r'
WHERE k.contype = 'f'
  AND NOT EXISTS (SELECT 1 FROM pg_constraint q
                  WHERE q.oid = k.conparentid AND q.conrelid = k.conrelid)
ORDER BY k.conrelid, k.conname
