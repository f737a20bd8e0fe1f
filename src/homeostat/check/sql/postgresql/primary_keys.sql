-- The user's tables without a primary key: a unique index over columns that are never null, which
-- could become one, and whether a publication sends the table's changes.
SELECT c.oid::int8 AS oid,
       (SELECT quote_ident(i.relname)
        FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
        WHERE x.indrelid = c.oid AND x.indisunique AND x.indisvalid AND x.indimmediate
          AND x.indpred IS NULL AND x.indexprs IS NULL
          AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.oid)
          AND NOT EXISTS (
              SELECT 1 FROM unnest(x.indkey) u (number)
              JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.number
              WHERE NOT a.attnotnull)
        ORDER BY x.indnkeyatts, i.oid LIMIT 1) AS unique_index,
       c.relkind = 'p' OR EXISTS (SELECT 1 FROM pg_inherits h WHERE h.inhparent = c.oid)
           AS is_whole,
       EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'id'
               AND NOT a.attisdropped) AS has_id,
       EXISTS (SELECT 1 FROM pg_publication_rel p WHERE p.prrelid = c.oid)
         OR EXISTS (SELECT 1 FROM pg_publication WHERE puballtables) AS is_published
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND c.oid NOT IN (SELECT indrelid FROM pg_index WHERE indisprimary)
  AND c.oid NOT IN (SELECT inhrelid FROM pg_inherits)
