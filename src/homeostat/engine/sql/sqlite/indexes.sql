-- indexes of the user's tables; the names of the columns are null when one is an expression
SELECT l.name, t.name AS table_name, l."unique" AS is_unique, l.origin, s.sql AS definition,
       (SELECT CASE WHEN count(*) = count(x.name)
                    THEN group_concat(x.name, char(0) ORDER BY x.seqno) END
        FROM pragma_index_xinfo(l.name) AS x WHERE x.key = 1) AS columns
FROM pragma_table_list AS t
JOIN pragma_index_list(t.name) AS l
LEFT JOIN sqlite_schema AS s ON s.type = 'index' AND s.name = l.name
WHERE t.schema = 'main' AND t.type = 'table' AND t.name NOT LIKE 'sqlite\_%' ESCAPE '\'
ORDER BY t.name, l.name
