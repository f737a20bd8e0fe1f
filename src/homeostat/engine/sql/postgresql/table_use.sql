-- The largest tables with what statistics count of them; at most :limit, among them those that most
-- rows were inserted into: their pages may not have been counted yet. The size of a table that
-- somebody has or wants for himself alone is null: asking for it would wait for him.
WITH locked AS (
  SELECT relation FROM pg_locks
  WHERE mode = 'AccessExclusiveLock' AND relation IS NOT NULL
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())),
busy AS (
  SELECT relid FROM pg_stat_user_tables
  WHERE n_tup_ins > 0 ORDER BY n_tup_ins DESC LIMIT CAST(:limit AS int) / 10),
largest AS (
  SELECT c.oid, n.nspname, c.relname, c.reltuples, c.relpages
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't'
    AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  ORDER BY c.oid IN (SELECT relid FROM busy) DESC, c.relpages DESC, n.nspname, c.relname
  LIMIT :limit)
SELECT c.nspname AS schema_name, c.relname AS table_name,
       coalesce(nullif(s.n_live_tup, 0)::float8, nullif(c.reltuples, -1)::float8) AS row_count,
       s.n_dead_tup::float8 AS dead_rows,
       CASE WHEN l.relation IS NULL THEN pg_table_size(c.oid)::float8 END AS bytes,
       CASE WHEN l.relation IS NULL THEN pg_indexes_size(c.oid)::float8 END AS index_bytes,
       s.n_mod_since_analyze::float8 AS changed,
       extract(epoch FROM greatest(s.last_analyze, s.last_autoanalyze))::float8 AS analysed,
       extract(epoch FROM greatest(s.last_vacuum, s.last_autovacuum))::float8 AS vacuumed,
       s.seq_scan::float8 AS full_scans, s.seq_tup_read::float8 AS full_scan_rows,
       s.idx_scan::float8 AS index_scans
FROM largest c
LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
LEFT JOIN (SELECT DISTINCT relation FROM locked) l ON l.relation = c.oid
ORDER BY c.relpages DESC, c.nspname, c.relname
