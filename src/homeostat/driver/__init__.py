"""The wires: one module per thing that is driven; the only importers of apsw and psycopg."""
