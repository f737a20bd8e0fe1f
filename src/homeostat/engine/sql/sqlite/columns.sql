-- columns of the user's tables, generated ones too, hidden ones of virtual tables not; the only
-- column of a primary key is the rowid if its type is INTEGER, in a table that has one (wr = 0)
SELECT t.name AS table_name, c.name, c.type, c."notnull",
       c.pk = 1 AND t.wr = 0 AND upper(c.type) = 'INTEGER'
         AND (SELECT count(*) FROM pragma_table_info(t.name) AS k WHERE k.pk > 0) = 1 AS is_rowid
FROM pragma_table_list AS t JOIN pragma_table_xinfo(t.name) AS c
WHERE t.schema = 'main' AND t.type = 'table' AND t.name NOT LIKE 'sqlite\_%' ESCAPE '\'
  AND c.hidden <> 1
ORDER BY t.name, c.cid
