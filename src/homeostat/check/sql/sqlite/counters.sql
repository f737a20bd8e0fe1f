-- Whether there is a table of AUTOINCREMENT counters.
SELECT name FROM sqlite_schema WHERE type = 'table' AND name = 'sqlite_sequence'
