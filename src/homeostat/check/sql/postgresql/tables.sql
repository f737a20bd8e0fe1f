-- The user's tables with what statistics say of them; a table that somebody has for himself alone
-- has no size, since asking for it would wait for him. Tables of extensions are not the user's. The
-- functions behind pg_stat_user_tables are asked, since that view adds up what is not wanted here.
WITH locked AS MATERIALIZED (
    SELECT relation FROM pg_locks
    WHERE mode = 'AccessExclusiveLock' AND relation IS NOT NULL
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
), extended AS MATERIALIZED (
    SELECT objid FROM pg_depend WHERE classid = 'pg_class'::regclass AND deptype = 'e'
)
SELECT c.oid::int8 AS oid,
       n.nspname::text AS schema_name,
       c.relname::text AS table_name,
       format('%I.%I', n.nspname, c.relname) AS name,
       c.relkind::text AS kind,
       c.relispartition AS is_part,
       c.relreplident::text AS replica_identity,
       greatest(c.reltuples, 0)::float8 AS rows_counted,
       c.reltuples >= 0 AS is_counted,
       c.relpages * current_setting('block_size')::float8 AS bytes_counted,
       CASE WHEN c.relkind <> 'p' AND l.relation IS NULL
            THEN pg_relation_size(c.oid)::float8 END AS bytes,
       pg_stat_get_numscans(c.oid)::float8 AS seq_scans,
       pg_stat_get_tuples_returned(c.oid)::float8 AS seq_rows,
       pg_stat_get_live_tuples(c.oid)::float8 AS live,
       pg_stat_get_dead_tuples(c.oid)::float8 AS dead,
       pg_stat_get_mod_since_analyze(c.oid)::float8 AS changed,
       pg_stat_get_tuples_deleted(c.oid)::float8 AS deleted,
       (pg_stat_get_tuples_inserted(c.oid) + pg_stat_get_tuples_updated(c.oid)
           + pg_stat_get_tuples_deleted(c.oid))::float8 AS written,
       extract(epoch FROM clock_timestamp()
               - greatest(pg_stat_get_last_analyze_time(c.oid),
                          pg_stat_get_last_autoanalyze_time(c.oid)))::float8 AS analysed_seconds,
       extract(epoch FROM clock_timestamp()
               - greatest(pg_stat_get_last_vacuum_time(c.oid),
                          pg_stat_get_last_autovacuum_time(c.oid)))::float8 AS vacuumed_seconds,
       age(c.relfrozenxid)::float8 AS xid_age,
       mxid_age(c.relminmxid)::float8 AS multixact_age,
       coalesce(substring(array_to_string(c.reloptions, ',') FROM 'fillfactor=([0-9]+)'), '100')
           ::float8 AS fill_factor,
       coalesce(lower(array_to_string(c.reloptions, ','))
                ~ '(^|,)autovacuum_enabled=(f|of|0|n)', false) AS without_autovacuum
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN locked l ON l.relation = c.oid
WHERE c.relkind IN ('r', 'p', 'm') AND c.relpersistence <> 't'
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND c.oid NOT IN (SELECT objid FROM extended)
ORDER BY c.oid
