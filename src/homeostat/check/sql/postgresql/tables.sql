-- The user's tables with what statistics say of them; a table that somebody has for himself alone
-- has no size, since asking for it would wait for him. Tables of extensions are not the user's.
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
       coalesce(s.seq_scan, 0)::float8 AS seq_scans,
       coalesce(s.seq_tup_read, 0)::float8 AS seq_rows,
       coalesce(s.idx_scan, 0)::float8 AS index_scans,
       coalesce(s.n_live_tup, 0)::float8 AS live,
       coalesce(s.n_dead_tup, 0)::float8 AS dead,
       coalesce(s.n_mod_since_analyze, 0)::float8 AS changed,
       coalesce(s.n_tup_del, 0)::float8 AS deleted,
       coalesce(s.n_tup_ins + s.n_tup_upd + s.n_tup_del, 0)::float8 AS written,
       extract(epoch FROM clock_timestamp()
               - greatest(s.last_analyze, s.last_autoanalyze))::float8 AS analysed_seconds,
       extract(epoch FROM clock_timestamp()
               - greatest(s.last_vacuum, s.last_autovacuum))::float8 AS vacuumed_seconds,
       age(c.relfrozenxid)::float8 AS xid_age,
       mxid_age(c.relminmxid)::float8 AS multixact_age,
       coalesce(substring(array_to_string(c.reloptions, ',') FROM 'fillfactor=([0-9]+)'), '100')
           ::float8 AS fill_factor,
       coalesce(lower(array_to_string(c.reloptions, ','))
                ~ '(^|,)autovacuum_enabled=(f|of|0|n)', false) AS without_autovacuum
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
LEFT JOIN locked l ON l.relation = c.oid
WHERE c.relkind IN ('r', 'p', 'm') AND c.relpersistence <> 't'
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND c.oid NOT IN (SELECT objid FROM extended)
ORDER BY c.oid
