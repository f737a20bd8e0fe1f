-- Lines of pg_hba.conf, in their order; for superusers, and whom the function was granted to.
SELECT line_number AS line, type, array_to_string(database, ',') AS databases,
       array_to_string(user_name, ',') AS roles, coalesce(address, '') AS address,
       coalesce(netmask, '') AS netmask,
       coalesce(auth_method, '') AS method, coalesce(error, '') AS error
FROM pg_hba_file_rules
ORDER BY line_number
