-- Take the session's advisory lock of this number, without waiting.
SELECT pg_try_advisory_lock(:number)
