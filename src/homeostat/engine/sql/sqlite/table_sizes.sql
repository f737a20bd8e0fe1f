-- bytes and unused bytes of each table and index; reads every page of the file
SELECT d.name, coalesce(s.type, 'table') AS kind, coalesce(s.tbl_name, d.name) AS table_name,
       sum(d.pgsize) AS bytes, sum(d.unused) AS unused
FROM dbstat AS d LEFT JOIN sqlite_schema AS s ON s.name = d.name
GROUP BY d.name
