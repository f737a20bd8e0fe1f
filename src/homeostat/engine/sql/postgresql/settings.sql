-- The named settings in force, with their units; those this role may not see are left out.
SELECT name, setting || coalesce(' ' || unit, '') AS value
FROM pg_settings
WHERE name = ANY (:names::text[])
ORDER BY name
