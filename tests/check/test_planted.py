"""Planted problems are found with the right mend, and the mend makes them go."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.check import planted
from tests.servers import PostgresServer, running_server, versions


@pytest.fixture(scope="module", params=versions())
def server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """Run a server that the planted problems may spoil."""
    settings = {"max_prepared_transactions": "5", "archive_mode": "on"}
    settings["archive_command"] = "/bin/true"
    with running_server(version=request.param, settings=settings) as running:
        yield running


@pytest.mark.slow
def test_problems_of_a_database_are_found_and_mended(server: PostgresServer) -> None:
    name = server.create_database()
    url = server.url(name)
    problems = planted.IN_A_DATABASE
    planted.plant(server, name, problems)
    planted.load(server, name, problems)
    server.execute(planted.REGRESS, database=name)
    with planted.repeated(server, name, planted.REGRESSING):
        report = planted.looked(url, watch=3)
    missed = [one.name for one in problems if planted.finds(report, one) is None]
    assert not missed, [(one.rule, one.where, one.mend_sql) for one in report.findings]

    for one in report.findings:
        planted.mend(one, lambda sql: server.execute(sql, database=name))
    planted.load(server, name, problems)
    with planted.repeated(server, name, planted.REGRESSING):
        after = planted.looked(url, watch=3)
    left = [one.name for one in problems if planted.finds(after, one) is not None]
    assert not left, [(one.rule, one.where, one.mend_sql) for one in after.findings]
