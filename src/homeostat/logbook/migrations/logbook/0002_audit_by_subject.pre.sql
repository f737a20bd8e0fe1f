-- Who did what about one remedy is asked whenever somebody looks at it, and the log only grows.
-- What is indexed is read from the hashed text itself, so nothing new stands beside it. A text that
-- is no entry must not keep the file from being opened: following the chain names it.

CREATE INDEX audit_by_subject ON audit (
    CASE WHEN json_valid(body) THEN json_extract(body, '$.subject') END, sequence
);
