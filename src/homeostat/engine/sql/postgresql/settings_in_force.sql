-- Every setting that this role may see, with where its value comes from. Connection strings and
-- commands may hold passwords and keys: of those only whether they are set leaves the server.
WITH told AS (
    SELECT *, name IN (
        'archive_cleanup_command', 'archive_command', 'primary_conninfo', 'recovery_end_command',
        'restore_command', 'ssl_passphrase_command'
    ) AS is_secret
    FROM pg_settings
)
SELECT name,
       CASE WHEN is_secret AND setting NOT IN ('', '(disabled)') THEN '***' ELSE setting END
           AS value,
       coalesce(unit, '') AS unit,
       CASE WHEN is_secret AND boot_val <> '' THEN '***' ELSE coalesce(boot_val, '') END
           AS default_value,
       source, coalesce(sourcefile || ':' || sourceline, '') AS place, short_desc AS description,
       category, pending_restart
FROM told
ORDER BY category, name
