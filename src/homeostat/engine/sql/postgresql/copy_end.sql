-- End the sessions of a copy on its source, whatever they are in the middle of: a role may end
-- those of its own. One that is only cancelled keeps its locks if it is between two statements.
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name = :application AND pid <> pg_backend_pid()
