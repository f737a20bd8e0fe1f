-- How wide the rows of these tables are on average, by the statistics of their columns; padding
-- for alignment is not counted. Not whole where the role may not read, or it was never analysed.
SELECT c.oid::int8 AS oid,
       count(p.avg_width) = count(*) AS is_whole,
       coalesce(sum(p.avg_width * (1 - p.null_frac)), 0)::float8 AS width
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_stats p ON p.schemaname = n.nspname AND p.tablename = c.relname
      AND p.attname = a.attname AND NOT p.inherited
WHERE c.oid = ANY (:oids::oid[])
GROUP BY c.oid
