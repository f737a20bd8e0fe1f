-- Prepared transactions, the oldest first: they hold locks and dead rows until someone ends them.
SELECT gid, owner::text AS role, database::text AS database,
       database = current_database() AS is_here,
       extract(epoch FROM clock_timestamp() - prepared)::float8 AS seconds,
       age(transaction)::float8 AS held_transactions
FROM pg_prepared_xacts
ORDER BY prepared
LIMIT 100
