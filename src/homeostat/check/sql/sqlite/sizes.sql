-- Bytes of each table and index; reads every page of the file.
SELECT name, sum(pgsize) AS bytes FROM dbstat WHERE aggregate = TRUE GROUP BY name
