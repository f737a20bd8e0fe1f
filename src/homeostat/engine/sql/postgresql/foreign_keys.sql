-- foreign keys of the user's tables, one row a column; keys of parts are listed with their whole,
-- which says what its parts are
SELECT n.nspname AS schema_name, c.relname AS table_name, a.attname AS column_name,
       pn.nspname AS parent_schema, p.relname AS parent_name, pa.attname AS parent_column,
       k.oid::int8 AS number, held.part_schemas, held.part_names
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class p ON p.oid = k.confrelid JOIN pg_namespace pn ON pn.oid = p.relnamespace
CROSS JOIN LATERAL unnest(k.conkey, k.confkey) WITH ORDINALITY AS u (mine, theirs, place)
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.mine
JOIN pg_attribute pa ON pa.attrelid = p.oid AND pa.attnum = u.theirs
CROSS JOIN LATERAL (
    SELECT array_agg(hn.nspname::text ORDER BY t.relid) AS part_schemas,
           array_agg(h.relname::text ORDER BY t.relid) AS part_names
    FROM pg_partition_tree(c.oid) t
    JOIN pg_class h ON h.oid = t.relid JOIN pg_namespace hn ON hn.oid = h.relnamespace
    WHERE t.isleaf AND c.relkind = 'p'
) held
WHERE k.contype = 'f' AND k.conparentid = 0
ORDER BY k.oid, u.place
