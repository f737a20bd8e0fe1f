-- The columns of the foreign keys; without a parent column the parent's primary key is meant.
SELECT t.name AS table_name, f.id, f."table" AS parent, f."from" AS child_column,
       f."to" AS parent_column
FROM pragma_table_list AS t JOIN pragma_foreign_key_list(t.name) AS f
WHERE t.schema = 'main' AND t.type = 'table' AND t.name NOT LIKE 'sqlite\_%' ESCAPE '\'
ORDER BY t.name, f.id, f.seq
