-- Large b-tree indexes and how wide their keys are on average, by the statistics of their columns.
-- Widths are missing where the role may not read the column, or it was never analysed.
SELECT x.indexrelid::int8 AS oid,
       count(p.avg_width) = x.indnatts AS is_whole,
       coalesce(sum(p.avg_width * (1 - p.null_frac)), 0)::float8 AS width
FROM pg_index x
JOIN pg_class i ON i.oid = x.indexrelid
JOIN pg_am m ON m.oid = i.relam AND m.amname = 'btree'
JOIN pg_class t ON t.oid = x.indrelid
JOIN pg_namespace n ON n.oid = t.relnamespace
CROSS JOIN LATERAL unnest(x.indkey) u (number)
LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = u.number AND u.number > 0
LEFT JOIN pg_stats p ON p.schemaname = n.nspname AND p.tablename = t.relname
      AND p.attname = a.attname AND NOT p.inherited
WHERE x.indexrelid = ANY (:oids::oid[])
GROUP BY x.indexrelid, x.indnatts
