-- The key columns of the indexes; the name of an expression is null.
SELECT t.name AS table_name, l.name, l."unique" AS is_unique, l.origin, l.partial, s.sql,
       x.name AS column_name, x."desc" AS descending, x.coll AS collation
FROM pragma_table_list AS t
JOIN pragma_index_list(t.name) AS l
JOIN pragma_index_xinfo(l.name) AS x ON x.key = 1
LEFT JOIN sqlite_schema AS s ON s.type = 'index' AND s.name = l.name
WHERE t.schema = 'main' AND t.type = 'table' AND t.name NOT LIKE 'sqlite\_%' ESCAPE '\'
ORDER BY t.name, l.name, x.seqno
