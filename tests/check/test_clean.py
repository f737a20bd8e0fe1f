"""Clean databases stay clean; odd schemas, few rights, poolers and many tables are no trouble."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from homeostat.check.report import Finding, Report
from tests.check import clean, planting
from tests.pgbouncer import running_pgbouncer
from tests.servers import PostgresServer

FALSE_FINDINGS_MAX = 0


@pytest.fixture(scope="module", params=planting.VERSIONS)
def server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    with clean.careful_server(request.param) as running:
        yield running


@pytest.mark.slow
def test_clean_databases_have_no_findings(server: PostgresServer) -> None:
    found: dict[str, list[Finding]] = {}
    for kind, fill in clean.CLEAN.items():
        name = server.create_database()
        fill(server, name)
        report = planting.looked(server.url(name))
        found[kind] = report.findings
        assert [gap.mend for gap in report.unseen if "Report this" in gap.mend] == []
    total = sum(map(len, found.values()))
    told = {kind: [(one.rule, one.what) for one in all_] for kind, all_ in found.items()}
    assert total <= FALSE_FINDINGS_MAX, told


@pytest.fixture(scope="module")
def odd(server: PostgresServer) -> str:
    """Return the name of a database whose schema has everything that schemas may have."""
    name = server.create_database()
    server.execute("CREATE EXTENSION pg_stat_statements", database=name)
    for statement in clean.ODD:
        server.execute(statement, database=name)
    server.execute("ANALYZE", database=name)
    return name


def broken(report: Report) -> list[str]:
    """Return what of a check did not work, apart from rights."""
    return [gap.reason for gap in report.unseen if "Report this" in gap.mend]


def test_odd_schemas_are_read_and_their_mends_run(server: PostgresServer, odd: str) -> None:
    report = planting.looked(server.url(odd))
    assert broken(report) == []
    sql = [one for one in report.findings if not one.mend_sql.startswith("--")]
    rules = {(one.rule, one.where) for one in sql}
    assert ("foreign_key_without_index", '"über""quoted"."child;--" (parent)') in rules
    for one in sql:
        planting.mend(one, partial(server.execute, database=odd))
    after = planting.looked(server.url(odd))
    assert rules & {(one.rule, one.where) for one in after.findings} == set()


def test_the_least_role_sees_much_and_is_told_the_grants(server: PostgresServer, odd: str) -> None:
    server.execute("CREATE ROLE least LOGIN PASSWORD 'least'")
    url = server.url(odd, user="least", password="least")
    report = planting.looked(url)
    assert broken(report) == []
    assert {gap.what for gap in report.unseen} >= {
        "what sessions of other users do",
        "pg_hba.conf: who gets in without a password",
    }
    for gap in report.unseen:
        if gap.mend.startswith("GRANT"):
            for statement in gap.mend.split(";"):
                if statement.strip():
                    server.execute(statement, database=odd)
    after = planting.looked(url)
    assert [gap for gap in after.unseen if gap.mend.startswith("GRANT")] == []


def test_a_pooler_may_be_in_between(server: PostgresServer, odd: str) -> None:
    direct = planting.looked(server.url(odd))
    with running_pgbouncer(server) as pooler:
        pooled = planting.looked(pooler.url(server.url(odd)))
    assert broken(pooled) == []
    assert [one.what for one in pooled.findings] == [one.what for one in direct.findings]


@pytest.mark.long
def test_five_thousand_tables_are_looked_at_in_a_minute(server: PostgresServer) -> None:
    name = server.create_database()
    clean.fill_with_tables(server, name, 5000)
    report = planting.looked(server.url(name))
    assert broken(report) == []
    assert report.database.seconds < 60
    assert [gap for gap in report.unseen if "used up" in gap.reason] == []
