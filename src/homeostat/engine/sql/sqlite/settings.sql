-- The settings that the file itself carries.
SELECT (SELECT journal_mode FROM pragma_journal_mode) AS journal_mode,
       (SELECT page_size FROM pragma_page_size) AS page_size,
       (SELECT auto_vacuum FROM pragma_auto_vacuum) AS auto_vacuum,
       (SELECT encoding FROM pragma_encoding) AS encoding,
       (SELECT schema_version FROM pragma_schema_version) AS schema_version,
       (SELECT user_version FROM pragma_user_version) AS user_version,
       (SELECT application_id FROM pragma_application_id) AS application_id
