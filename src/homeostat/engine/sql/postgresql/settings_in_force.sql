-- Every setting that this role may see, with where its value comes from.
SELECT name, setting AS value, coalesce(unit, '') AS unit, coalesce(boot_val, '') AS default_value,
       source, coalesce(sourcefile || ':' || sourceline, '') AS place, short_desc AS description,
       category, pending_restart
FROM pg_settings
ORDER BY category, name
