-- What people call a measured statement, and its redacted text: samples outlive the memory in which
-- an operator holds them. Disposable like the rest of the file.

CREATE TABLE statements (
    database TEXT NOT NULL,
    statement TEXT NOT NULL,
    name TEXT NOT NULL,
    text TEXT NOT NULL,
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (database, statement)
) STRICT, WITHOUT ROWID;

CREATE INDEX statements_by_time ON statements (database, seen_at);
