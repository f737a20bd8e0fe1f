-- The columns of the user's tables; hidden 2 and 3 are generated ones.
SELECT t.name AS table_name, c.name, c.type, c."notnull" AS not_null, c.pk, c.hidden
FROM pragma_table_list AS t JOIN pragma_table_xinfo(t.name) AS c
WHERE t.schema = 'main' AND t.type = 'table' AND t.name NOT LIKE 'sqlite\_%' ESCAPE '\'
ORDER BY t.name, c.cid
