-- What the file carries, and how much is in it; no page of data is read.
SELECT (SELECT journal_mode FROM pragma_journal_mode) AS journal_mode,
       (SELECT page_size FROM pragma_page_size) AS page_bytes,
       (SELECT page_count FROM pragma_page_count) AS pages,
       (SELECT auto_vacuum FROM pragma_auto_vacuum) AS auto_vacuum,
       (SELECT count(*) FROM sqlite_schema WHERE type = 'table') AS tables
