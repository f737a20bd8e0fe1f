-- The texts of the schema, in the order in which they can be made again.
SELECT type, name, tbl_name AS table_name, sql FROM sqlite_schema
WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\_%' ESCAPE '\'
ORDER BY type = 'trigger', type = 'view', type = 'index', rowid
