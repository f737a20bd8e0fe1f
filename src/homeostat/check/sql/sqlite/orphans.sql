-- Rows whose parent is not there, by table and foreign key; :tables is a JSON list of names.
SELECT j.value AS table_name, v.fkid AS id, count(*) AS rows_count
FROM json_each(:tables) AS j JOIN pragma_foreign_key_check(j.value) AS v
GROUP BY 1, 2 ORDER BY 3 DESC
