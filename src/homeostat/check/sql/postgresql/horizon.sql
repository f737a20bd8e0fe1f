-- What keeps dead rows of this database from being removed, the oldest first: the oldest snapshot
-- of a session or a prepared transaction of this database, a standby, or a slot that nobody reads.
-- Standbys and slots hold back every database. A slot in use moves with its reader: no trouble of
-- its own. Other users' sessions are seen by pg_read_all_stats.
SELECT * FROM (
    SELECT 'session' AS kind, pid, coalesce(usename, '')::text AS role,
           coalesce(state, '') AS name,
           greatest(age(backend_xmin), age(backend_xid))::float8 AS age,
           extract(epoch FROM clock_timestamp() - xact_start)::float8 AS seconds
    FROM pg_stat_activity
    WHERE pid <> pg_backend_pid() AND datname = current_database()
      AND coalesce(backend_type, 'client backend') = 'client backend'
      AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)
    UNION ALL
    SELECT 'slot', NULL, '', slot_name::text, age(xmin)::float8, NULL
    FROM pg_replication_slots WHERE xmin IS NOT NULL AND NOT active
    UNION ALL
    SELECT 'prepared', NULL, owner::text, gid, age(transaction)::float8,
           extract(epoch FROM clock_timestamp() - prepared)::float8
    FROM pg_prepared_xacts WHERE database = current_database()
    UNION ALL
    SELECT 'standby', pid, '', coalesce(application_name, ''), age(backend_xmin)::float8, NULL
    FROM pg_stat_replication WHERE backend_xmin IS NOT NULL
) AS holders
WHERE age > 0
ORDER BY age DESC, seconds DESC NULLS LAST
LIMIT 10
