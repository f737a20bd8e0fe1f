-- the parts of partitioned tables, each with the table that it belongs to in the end
SELECT n.nspname AS schema_name, c.relname AS table_name,
       wn.nspname AS whole_schema, w.relname AS whole_name
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class w ON w.oid = pg_partition_root(c.oid) JOIN pg_namespace wn ON wn.oid = w.relnamespace
WHERE c.relispartition AND c.relkind IN ('r', 'p')
