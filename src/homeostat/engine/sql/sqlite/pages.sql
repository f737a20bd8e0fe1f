-- The file's size and free pages, from its header; no page of data is read.
SELECT (SELECT page_count FROM pragma_page_count) AS pages,
       (SELECT page_size FROM pragma_page_size) AS page_bytes,
       (SELECT freelist_count FROM pragma_freelist_count) AS free_pages
