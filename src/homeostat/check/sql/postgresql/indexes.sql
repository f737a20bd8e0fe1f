-- The user's indexes; the parts of a definition as the catalogue has them, so that two can be
-- compared. Indexes of tables that somebody has for himself alone are left out.
WITH locked AS MATERIALIZED (
    SELECT relation FROM pg_locks
    WHERE mode = 'AccessExclusiveLock' AND relation IS NOT NULL
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
), extended AS MATERIALIZED (
    SELECT objid FROM pg_depend WHERE classid = 'pg_class'::regclass AND deptype = 'e'
), building AS MATERIALIZED (
    SELECT index_relid FROM pg_stat_progress_create_index
)
SELECT i.oid::int8 AS oid,
       x.indrelid::int8 AS table_oid,
       format('%I.%I', n.nspname, t.relname) AS table_name,
       format('%I.%I', n.nspname, i.relname) AS name,
       i.relname::text AS bare_name,
       i.relkind::text AS kind,
       i.relispartition AS is_part,
       m.amname::text AS method,
       x.indnkeyatts::int AS key_count,
       x.indkey::text AS columns,
       x.indclass::text AS classes,
       x.indcollation::text AS collations,
       x.indoption::text AS options,
       coalesce(pg_get_expr(x.indexprs, x.indrelid), '') AS expressions,
       coalesce(pg_get_expr(x.indpred, x.indrelid), '') AS condition,
       x.indisunique AS is_unique,
       x.indisprimary AS is_primary,
       x.indisreplident AS is_identity,
       x.indisvalid AS is_valid,
       b.index_relid IS NOT NULL AS is_building,
       i.oid IN (SELECT conindid FROM pg_constraint) AS is_constraint,
       pg_relation_size(i.oid)::float8 AS bytes,
       i.reltuples::float8 AS entries,
       coalesce(substring(array_to_string(i.reloptions, ',') FROM 'fillfactor=([0-9]+)'), '90')
           ::float8 AS fill_factor,
       pg_stat_get_numscans(i.oid)::float8 AS scans
FROM pg_index x
JOIN pg_class i ON i.oid = x.indexrelid
JOIN pg_class t ON t.oid = x.indrelid
JOIN pg_namespace n ON n.oid = t.relnamespace
JOIN pg_am m ON m.oid = i.relam
LEFT JOIN building b ON b.index_relid = i.oid
WHERE t.relkind IN ('r', 'p', 'm') AND t.relpersistence <> 't'
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND NOT EXISTS (SELECT 1 FROM locked l WHERE l.relation IN (i.oid, t.oid))
  AND t.oid NOT IN (SELECT objid FROM extended)
ORDER BY i.oid
