"""Every error has a message with what to do next, a row in the reference, and a test that meets it.

The test of an error provokes it for real: a server that refuses, a file that is damaged. Which one
it is stands in PROVOKED; it must be there and name the error.
"""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

from homeostat import errors
from homeostat.errors import HomeostatError

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "reference"
PROVOKED: dict[str, dict[str, str]] = {  # file: test: the errors that it meets
    "tests/config/test_load.py": {
        "test_what_is_wrong_is_refused_with_its_place": "ConfigError",
    },
    "tests/test_secret.py": {
        "test_file_must_be_the_users_alone": "SecretError",
    },
    "tests/engine/test_maintain.py": {
        "test_a_sqlite_index_is_built_once_tried_rebuilt_and_dropped": "DatabaseError",
        "test_statistics_of_a_postgresql_table_are_put_back_exactly": "UnsupportedError",
    },
    "tests/engine/test_postgres.py": {
        "test_the_probe_connection_opens_itself_again": "ConnectError",
        "test_behind_a_pooler_there_is_no_control": "PoolerRefusedError",
    },
    "tests/driver/test_postgres_errors.py": {
        "test_host_that_does_not_resolve": "HostNotFoundError",
        "test_nothing_listens": "ServerUnreachableError",
        "test_server_is_shutting_down": "ServerStartingError",
        "test_wrong_password": "AuthenticationError",
        "test_tls_is_required": "TlsError",
        "test_database_is_missing": "DatabaseMissingError",
        "test_address_is_not_let_in": "PermissionRefusedError",
        "test_no_connection_is_left": "TooManyConnectionsError",
        "test_server_is_too_old": "UnsupportedVersionError",
        "test_statement_errors_have_a_class_and_no_values": "RightMissingError",
    },
    "tests/driver/test_sqlite_errors.py": {
        "test_file_of_another_kind": "NotADatabaseError",
        "test_encrypted_file": "EncryptedDatabaseError",
        "test_damaged_file": "CorruptDatabaseError",
        "test_read_only_handle_refuses_to_write": "ReadOnlyDatabaseError",
        "test_locked_by_another_process_is_named": "DatabaseLockedError",
        "test_full_database_keeps_what_it_had": "DiskFullError",
        "test_disk_that_fails_to_write": "StorageError",
        "test_file_that_another_library_has_open": "OpenedTwiceError",
    },
    "tests/driver/test_postgres.py": {
        "test_a_connection_that_breaks_in_a_statement_is_lost": "ConnectionLostError",
        "test_a_commit_whose_answer_is_lost_is_unknown": "CommitUnknownError",
        "test_deadline_and_cancel_hit_their_own_statement_only": "StatementCancelledError",
    },
    "tests/engine/test_postgres_clone.py": {
        "test_a_copy_that_hangs_is_given_up": "CloneRefusedError",
    },
    "tests/driver/test_pgbouncer_ini.py": {
        "test_a_database_without_a_line_is_named": "PoolerFileError",
    },
    "tests/access/test_bulk.py": {
        "test_an_operation_without_an_order_has_no_pages": "StatementError",
        "test_a_token_that_is_none_is_refused": "PageTokenError",
    },
    "tests/access/test_database.py": {
        "test_a_deadline_stops_the_statement": "DeadlineExceededError",
        "test_a_transaction_commits_or_leaves_nothing": "ConstraintError",
        "test_a_session_cannot_be_used_after_its_end": "AccessError",
        "test_the_wait_for_a_connection_ends_within_the_deadline": "PoolTimeoutError",
        "test_a_closed_handle_refuses": "PoolClosedError",
        "test_missing_and_unknown_parameters_are_named": "OperationUnknownError",
        "test_a_caller_cannot_touch_another_scope": "ScopeRefusedError",
    },
    "tests/driver/test_sqlite.py": {
        "test_writing_on_an_old_snapshot_asks_for_the_whole_transaction": "SerializationError",
    },
    "tests/faults/test_data_path.py": {
        "test_the_pool_is_exhausted": "OverloadedError",
    },
    "tests/access/test_transactions.py": {
        "test_a_key_makes_a_write_happen_once": (
            "IdempotencyKeyReusedError IdempotencyNotPreparedError"
        ),
    },
    "tests/access/test_read_tokens.py": {
        "test_on_a_file_every_read_is_fresh_and_other_tokens_are_refused": "ReadTokenError",
        "test_a_read_with_a_token_sees_the_write_or_says_that_it_cannot": "ReplicaBehindError",
    },
    "tests/access/test_settings.py": {
        "rows_max": "BudgetExceededError",
    },
    "tests/logbook/test_store.py": {
        "test_a_transaction_is_used_in_its_block_only": "LogbookError",
        "test_what_does_not_exist_is_named": "NotFoundError",
    },
    "tests/logbook/test_faults.py": {
        "test_no_space_to_begin_is_named": "LogbookFullError",
        "test_another_program_that_locks_it_is_waited_for_then_named": "LogbookLockedError",
        "test_a_damaged_file_is_named_on_opening_and_left_as_it_is": "LogbookCorruptError",
    },
    "tests/logbook/test_migrate.py": {
        "test_a_newer_logbook_is_refused_and_not_touched": "LogbookNewerError",
    },
    "tests/logbook/test_ownership.py": {
        "test_the_second_owner_waits_for_the_lease": "OwnedElsewhereError",
        "test_a_lost_tenure_writes_nothing": "OwnershipLostError",
    },
    "tests/operate/test_ownership.py": {
        "test_a_lease_that_ran_out_writes_nothing_until_it_is_renewed": "LeaseExpiredError",
    },
    "tests/web/test_api.py": {
        "test_errors_say_what_they_are": "OperateError",
        "test_a_refused_report_is_not_an_operator_that_is_gone": (
            "OperatorUnreachableError ReportRefusedError"
        ),
        "test_a_body_that_is_no_json_is_refused": "RequestError MediaTypeError",
        "test_a_body_of_another_shape_is_refused": "InvalidRequestError",
        "test_more_than_can_wait_are_sent_away": "TooManyRequestsError",
    },
    "tests/operate/test_desk.py": {
        "test_what_waits_for_a_person_ends_with_its_trouble": "DecisionRefusedError",
    },
    "tests/sample/test_seed.py": {
        "test_other_peoples_tables_are_refused_and_left_alone": "DemoRefusedError",
    },
    "tests/web/test_guard.py": {
        "test_a_body_has_a_limit": "RequestTooLargeError",
        "test_who_sends_slowly_is_given_up_and_the_others_are_served": "RequestSlowError",
        "test_another_host_name_is_refused": "RequestForbiddenError",
    },
    "tests/web/test_auth.py": {
        "test_a_wrong_token_is_refused_and_not_repeated": "SignInRequiredError",
    },
    "tests/web/test_roles.py": {
        "test_only_agents_and_admins_report": "RoleTooLowError",
        "test_what_a_token_may_be_called": "NameTakenError",
    },
    "tests/web/test_stream.py": {
        "test_there_are_only_so_many_streams": "TooManyStreamsError",
    },
}
KINDS = {
    name: kind
    for name, kind in vars(errors).items()
    if inspect.isclass(kind) and issubclass(kind, HomeostatError)
}
MET = {
    error: (file, test)
    for file, tests in PROVOKED.items()
    for test, met in tests.items()
    for error in met.split()
}
TWO_SENTENCES = re.compile(r"\S.*\. \S.*\.$")


def test_every_error_is_met_by_a_test() -> None:
    assert set(MET) == set(KINDS) - {"HomeostatError"}, "only the base of all is never raised"


@pytest.mark.parametrize("file", sorted(PROVOKED))
def test_the_tests_are_there_and_name_the_error(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    functions = {
        node.name: "\n".join(
            ast.get_source_segment(text, part) or "" for part in [*node.decorator_list, node]
        )
        for node in ast.parse(text).body
        if isinstance(node, ast.FunctionDef)
    }
    for test, met in PROVOKED[file].items():
        for error in met.split():
            assert error in functions.get(test, ""), f"{test} does not name {error}"


@pytest.mark.parametrize("name", sorted(KINDS))
def test_an_error_says_what_happened_and_what_to_do(name: str) -> None:
    assert TWO_SENTENCES.match(KINDS[name]().message), "two sentences: what happened, what to do"
    assert f"| `{name}` |" in (REFERENCE / "errors.md").read_text(encoding="utf-8")


def test_the_tree_shows_every_error_below_its_kind() -> None:
    above: list[str] = []
    shown = {}
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^([│├└─ ]*)(\w+Error)$", line)
        if found:
            depth = len(found[1]) // 4
            above[depth:] = [found[2]]
            shown[found[2]] = above[depth - 1] if depth else "Exception"
    assert shown == {name: kind.__bases__[0].__name__ for name, kind in KINDS.items()}
