-- foreign keys of the user's tables, one row a column; keys of parts are listed with their whole
SELECT n.nspname AS schema_name, c.relname AS table_name, a.attname AS column_name,
       pn.nspname AS parent_schema, p.relname AS parent_name, pa.attname AS parent_column,
       k.oid::int8 AS number
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class p ON p.oid = k.confrelid JOIN pg_namespace pn ON pn.oid = p.relnamespace
CROSS JOIN LATERAL unnest(k.conkey, k.confkey) WITH ORDINALITY AS u (mine, theirs, place)
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.mine
JOIN pg_attribute pa ON pa.attrelid = p.oid AND pa.attnum = u.theirs
WHERE k.contype = 'f' AND k.conparentid = 0
ORDER BY k.oid, u.place
