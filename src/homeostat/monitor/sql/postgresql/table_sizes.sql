-- the tables that most rows were inserted into, with their sizes, indexes and long values included;
-- the size of one that somebody has for himself alone is null: asking for it would wait for him
WITH busy AS (
  SELECT relid, schemaname, relname FROM pg_stat_user_tables
  WHERE n_tup_ins > 0 ORDER BY n_tup_ins DESC LIMIT :tables_max),
locked AS (
  SELECT relation FROM pg_locks
  WHERE mode = 'AccessExclusiveLock' AND relation IS NOT NULL
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
SELECT CASE WHEN schemaname = 'public' THEN relname::text ELSE schemaname || '.' || relname END,
       CASE WHEN relid NOT IN (SELECT relation FROM locked)
            THEN pg_total_relation_size(relid)::float8 END
FROM busy
