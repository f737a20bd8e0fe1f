-- columns of the user's tables, generated ones too, hidden ones of virtual tables not
SELECT t.name AS table_name, c.name, c.type, c."notnull"
FROM pragma_table_list AS t JOIN pragma_table_xinfo(t.name) AS c
WHERE t.schema = 'main' AND t.type = 'table' AND t.name NOT LIKE 'sqlite\_%' ESCAPE '\'
  AND c.hidden <> 1
ORDER BY t.name, c.cid
