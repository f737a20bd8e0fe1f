-- How old the oldest transaction id and multixact of each database are; at 2^31 the server stops
-- accepting writes (manual, "Preventing Transaction ID Wraparound Failures").
SELECT datname::text AS name, datname = current_database() AS is_here, datallowconn AS is_open,
       age(datfrozenxid)::float8 AS xid_age,
       mxid_age(datminmxid)::float8 AS multixact_age
FROM pg_database
ORDER BY datname
