-- How far sequences are, against the smaller of their own end and that of the column they fill.
-- The last value is NULL where it was never used, or may not be seen (SELECT on the sequence).
SELECT format('%I.%I', n.nspname, c.relname) AS name,
       has_sequence_privilege(c.oid, 'SELECT, USAGE') AS is_readable,
       pg_has_role(n.nspowner, 'USAGE') OR has_schema_privilege(n.oid, 'USAGE') AS is_reachable,
       quote_ident(n.nspname) AS schema_name,
       s.seqincrement::float8 AS step,
       s.seqcycle AS cycles,
       s.seqmin::float8 AS smallest,
       CASE a.atttypid
           WHEN 'int2'::regtype THEN least(s.seqmax, 32767)
           WHEN 'int4'::regtype THEN least(s.seqmax, 2147483647)
           ELSE s.seqmax
       END::float8 AS largest,
       format_type(s.seqtypid, NULL) AS type,
       CASE WHEN has_sequence_privilege(c.oid, 'SELECT, USAGE')
            THEN pg_sequence_last_value(c.oid)::float8 END AS last_value,
       CASE WHEN t.oid IS NOT NULL THEN format('%I.%I', m.nspname, t.relname) END AS table_name,
       quote_ident(a.attname) AS column_name,
       format_type(a.atttypid, a.atttypmod) AS column_type,
       coalesce(a.attidentity <> '', false) AS is_identity
FROM pg_sequence s
JOIN pg_class c ON c.oid = s.seqrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0
      AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
LEFT JOIN pg_class t ON t.oid = d.refobjid
LEFT JOIN pg_namespace m ON m.oid = t.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY c.oid
