-- The tables that hold the rows of foreign keys of partitioned tables, each with the numbers that
-- the columns have in it.
SELECT k.oid::int8 AS key_oid,
       t.relid::oid::int8 AS table_oid,
       ARRAY(SELECT theirs.attnum::int
             FROM unnest(k.conkey) WITH ORDINALITY u (number, place)
             JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.number
             JOIN pg_attribute theirs
               ON theirs.attrelid = t.relid AND theirs.attname = a.attname
             ORDER BY u.place) AS numbers
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid
CROSS JOIN LATERAL pg_partition_tree(c.oid) t
WHERE k.contype = 'f' AND k.conparentid = 0 AND c.relkind = 'p' AND t.isleaf
ORDER BY k.oid, t.relid
