-- the user's views with the SELECT that each stands for; the definition of one waits for whoever
-- has it for himself alone, so those are left out
WITH locked AS (
  SELECT relation FROM pg_locks
  WHERE mode = 'AccessExclusiveLock' AND relation IS NOT NULL
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
SELECT n.nspname, c.relname, pg_get_viewdef(c.oid)
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'v' AND c.relpersistence <> 't'
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND c.oid NOT IN (SELECT relation FROM locked)
ORDER BY n.nspname, c.relname
