"""Every row of the error tables in docs/reference/engines.md has a test that does what it says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEAD = "| you did | error | it says | do |"
ROW = re.compile(r"\| (?P<did>[^|]+) \| `(?P<error>\w+Error)` \|")
SQLITE = "driver/test_sqlite_errors.py"
POSTGRES = "driver/test_postgres_errors.py"
# test: the rows (how they begin) that it does
DONE_BY: dict[str, dict[str, str]] = {
    "engine/test_sqlite_clone.py": {
        "test_what_does_not_fit_is_refused_before_anything_is_written": "asked for a clone past",
    },
    "engine/test_maintain.py": {
        "test_statistics_of_a_postgresql_table_are_put_back_exactly": "asked for what this",
    },
    SQLITE: {
        "test_missing_file_is_not_created": "gave a path where nothing is",
        "test_missing_directory_is_named": "gave a path in a missing; gave a path through a file",
        "test_directory_and_device": "gave a directory; gave a device, pipe",
        "test_file_of_another_kind": "gave a text, an image",
        "test_encrypted_file": "gave an encrypted file without; gave a wrong key",
        "test_key_for_a_plain_file": "gave a key for a plain",
        "test_damaged_file": "gave a file whose first bytes; read a file with damaged",
        "test_file_without_rights": (
            "gave a file of another user; gave a file in a closed; opened a file for writing"
        ),
        "test_wal_database_of_another_user_is_read_only_while_its_application_runs": (
            "gave a WAL database of another"
        ),
        "test_wal_database_in_a_directory_that_cannot_be_written": "read a WAL database in a",
        "test_journal_of_a_writer_that_died_is_left_to_its_application": "read a file whose writer",
        "test_file_that_is_moved_away_while_it_is_open": "moved the file away",
        "test_file_that_another_library_has_open": "has the file open through another",
        "test_locked_by_another_process_is_named": "wrote while another process",
        "test_full_database_keeps_what_it_had": "filled the disk",
        "test_disk_that_fails_to_write": "has a failing disk",
        "test_place_that_cannot_hold_a_log_is_refused": "put the file on a network",
    },
    "engine/test_sqlite.py": {
        "test_another_file_at_the_same_path_is_noticed": "replaced the file while",
    },
    "driver/test_sqlite.py": {
        "test_writing_on_an_old_snapshot_asks_for_the_whole_transaction": "wrote in a transaction",
    },
    POSTGRES: {
        "test_url_that_cannot_be_read_is_not_repeated": "put `@ : / ? #`",
        "test_host_that_does_not_resolve": "mistyped the host",
        "test_nothing_listens": "mistyped the port; named a local socket",
        "test_nothing_answers": "is behind a firewall",
        "test_another_server_listens_there": "named the port of another",
        "test_server_is_shutting_down": "connected while the server",
        "test_no_password_and_pgpass": "gave no password",
        "test_wrong_password": "gave a wrong password",
        "test_roles_that_cannot_come_in": (
            "named a role that does not; used a role without; may not use the database"
        ),
        "test_address_is_not_let_in": "comes from an address",
        "test_tls_is_required": "turned TLS off",
        "test_tls_is_wanted_and_not_offered": "required TLS where",
        "test_certificate_is_not_trusted": "checks a certificate",
        "test_database_is_missing": "mistyped the database",
        "test_no_connection_is_left": "used up the connections",
        "test_server_is_too_old": "has an old server",
        "test_read_only_lock_and_statement_timeout": (
            "wrote to a standby; waited too long; ran past the deadline"
        ),
        "test_statement_errors_have_a_class_and_no_values": "lacks a right for",
        "test_deadlock_asks_for_the_whole_transaction": "met a deadlock",
    },
    "engine/test_postgres.py": {
        "test_behind_a_pooler_there_is_no_control": "went through PgBouncer",
    },
    "driver/test_pgbouncer_ini.py": {
        "test_a_database_without_a_line_is_named": "let Homeostat size",
    },
    "driver/test_postgres.py": {
        "test_a_connection_that_breaks_in_a_statement_is_lost": "lost the connection within",
        "test_a_commit_whose_answer_is_lost_is_unknown": "lost the connection while",
        "test_commit_of_a_failed_transaction_is_no_success": "committed after a statement",
    },
}


def rows() -> dict[str, str]:
    """Return what was done and the error it gives, of all tables of errors."""
    text = (ROOT / "docs" / "reference" / "engines.md").read_text(encoding="utf-8")
    tables = [part.split("\n\n")[0] for part in text.split(HEAD)[1:]]
    return {found["did"]: found["error"] for part in tables for found in ROW.finditer(part)}


def test_every_row_has_a_test_that_meets_its_error() -> None:
    left = rows()
    assert len(left) > 50
    for file, tests in DONE_BY.items():
        path = ROOT / "tests" / file
        text = path.read_text(encoding="utf-8")
        sources = {
            node.name: ast.get_source_segment(text, node) or ""
            for node in ast.parse(text).body
            if isinstance(node, ast.FunctionDef)
        }
        for test, begins in tests.items():
            for begin in begins.split("; "):
                [did] = [one for one in left if one.startswith(begin)]
                error = left.pop(did)
                assert error in sources[test], (test, error)
    assert not left, "rows without a test"
