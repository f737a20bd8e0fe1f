-- indexes of the user's tables; char(1) stands for a column that is an expression
SELECT l.name, t.name AS table_name, l."unique" AS is_unique, l.origin, s.sql AS definition,
       (SELECT group_concat(coalesce(x.name, char(1)), char(0) ORDER BY x.seqno)
        FROM pragma_index_xinfo(l.name) AS x WHERE x.key = 1) AS columns
FROM pragma_table_list AS t
JOIN pragma_index_list(t.name) AS l
LEFT JOIN sqlite_schema AS s ON s.type = 'index' AND s.name = l.name
WHERE t.schema = 'main' AND t.type = 'table' AND t.name NOT LIKE 'sqlite\_%' ESCAPE '\'
ORDER BY t.name, l.name
