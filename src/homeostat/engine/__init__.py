"""What can be asked of a database: execute, cancel, and small facets."""
