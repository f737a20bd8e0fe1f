-- What a first look at a file tells: its size, its tables, its journal.
SELECT (SELECT page_count FROM pragma_page_count) * (SELECT page_size FROM pragma_page_size)
         AS bytes,
       (SELECT count(*) FROM sqlite_schema
        WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\') AS tables,
       (SELECT journal_mode FROM pragma_journal_mode) AS journal_mode
