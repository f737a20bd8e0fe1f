-- What a first look at a database tells: its size, its tables, and who looks.
SELECT pg_database_size(current_database())::float8 AS bytes,
       (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND NOT c.relispartition
          AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_')::int AS tables,
       current_user::text AS role,
       pg_is_in_recovery() AS is_replica
