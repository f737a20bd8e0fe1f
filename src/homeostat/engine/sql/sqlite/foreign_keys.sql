-- foreign keys of the user's tables, one row a column; null: of the parent's primary key
SELECT '' AS schema_name, m.name AS table_name, f."from" AS column_name,
       '' AS parent_schema, f."table" AS parent_name, f."to" AS parent_column,
       m.name || char(0) || f.id AS number
FROM sqlite_schema m JOIN pragma_foreign_key_list(m.name) f
WHERE m.type = 'table'
ORDER BY m.name, f.id, f.seq
