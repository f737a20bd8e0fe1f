"""Planted problems are found with the right mend, and the mend makes them go."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import msgspec
import pytest

from homeostat.check import postgres_machine
from homeostat.check.registry import checks_of
from homeostat.config import MonitorConfig
from tests.check import cloning, cramped, planted, planting
from tests.check.planted import Planted
from tests.servers import PostgresServer, running_server


@pytest.fixture(scope="module", params=planting.VERSIONS)
def server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """Run a server that the planted problems may spoil."""
    with planting.server_to_spoil(request.param) as running:
        yield running


@pytest.fixture(scope="module")
def spoiled(server: PostgresServer) -> str:
    """Return the name of a database in which everything is planted."""
    name = server.create_database()
    planting.spoil_database(server, name, planted.IN_A_DATABASE)
    return name


@pytest.mark.slow
def test_problems_of_a_database_are_found_and_mended_on_a_clone(
    server: PostgresServer, spoiled: str
) -> None:
    problems = planted.IN_A_DATABASE
    report = planting.look_at(server, spoiled, problems)
    missed = [one.name for one in problems if planting.finds(report, one) is None]
    assert not missed, [(one.rule, one.where, one.mend_sql) for one in report.findings]

    rows, schema = cloning.rows_of(server, spoiled), cloning.schema_of(server, spoiled)
    with cloning.clone_of(server, spoiled) as clone:
        cloning.carried(server, clone, problems)
        assert cloning.rows_of(server, clone) == rows
        outcome = cloning.mended(server, clone, problems)
        assert outcome == cloning.Outcome(missed=[], left=[], new=[])
        assert cloning.rows_of(server, clone) == rows
    assert cloning.rows_of(server, spoiled) == rows
    assert cloning.schema_of(server, spoiled) == schema


@pytest.mark.long
@pytest.mark.parametrize("problem", planted.IN_A_DATABASE, ids=lambda one: one.name)
def test_each_mend_alone_makes_its_finding_go_on_a_clone(
    problem: Planted, server: PostgresServer, spoiled: str
) -> None:
    rows = cloning.rows_of(server, spoiled)
    with cloning.clone_of(server, spoiled) as clone:
        cloning.carried(server, clone, [problem])
        outcome = cloning.mended(server, clone, [problem])
        assert outcome == cloning.Outcome(missed=[], left=[], new=[])
        assert cloning.rows_of(server, clone) == rows
    assert cloning.rows_of(server, spoiled) == rows


@pytest.mark.slow
def test_problems_of_a_server_are_found_and_mended(server: PostgresServer) -> None:
    problems = [*planted.IN_A_SERVER, planted.IN_FILES]
    planting.spoil(server)
    report = planting.looked(server.url())
    missed = [one.name for one in problems if planting.finds(report, one) is None]
    assert not missed, [(one.rule, one.where, one.mend_sql) for one in report.findings]
    trusting = planting.finds(report, planted.IN_FILES)
    assert trusting is not None
    assert trusting.cause == "it says `host all all 10.0.0.0/8 trust`"

    planting.restore(server, report)
    after = planting.looked(server.url())
    left = [one.name for one in problems if planting.finds(after, one) is not None]
    assert not left, [(one.rule, one.where, one.mend_sql) for one in after.findings]


@pytest.mark.slow
def test_sessions_in_trouble_are_found_and_ended(server: PostgresServer) -> None:
    name = server.create_database()
    url = server.url(name)
    with planting.sessions_in_trouble(server, name):
        report = planting.looked(url, monitor=planting.IMPATIENT)
        problems = planted.IN_SESSIONS
        missed = [one.name for one in problems if planting.finds(report, one) is None]
        assert not missed, [(one.rule, one.where, one.mend_sql) for one in report.findings]
        rules = {one.rule for one in problems}
        for one in report.findings:
            if one.rule in rules:
                planting.mend(one, partial(server.execute, database=name))
        planting.wait_for_rest(server, name)
        after = planting.looked(url, monitor=planting.IMPATIENT)
        left = [one.name for one in problems if planting.finds(after, one) is not None]
        assert not left, [(one.rule, one.where, one.mend_sql) for one in after.findings]


@pytest.mark.slow
@pytest.mark.parametrize("version", planting.VERSIONS)
def test_ids_near_their_end_are_found_and_mended(version: str) -> None:
    with running_server(version=version, settings={"autovacuum_naptime": "86400"}) as server:
        server.stop()
        planting.age(server)
        server.start()
        report = planting.looked(server.url())
        found = [planting.finds(report, one) for one in planted.IN_THE_IDS]
        assert all(found), [(one.rule, one.where, one.mend_sql) for one in report.findings]

        planting.freeze(server, report)
        after = planting.looked(server.url())
        left = [one.name for one in planted.IN_THE_IDS if planting.finds(after, one)]
        assert not left, [(one.rule, one.where, one.mend_sql) for one in after.findings]


@pytest.mark.slow
@pytest.mark.parametrize("version", planting.VERSIONS)
def test_a_server_that_does_not_fit_its_machine_is_found_and_mended(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cramped.small_machine(tmp_path)
    monkeypatch.setattr(postgres_machine, "MEMORY_LIMIT", tmp_path / "memory.max")
    monkeypatch.setattr(postgres_machine, "BLOCK_DEVICES", tmp_path / "block")
    with cramped.cramped_server(version) as server:
        with cramped.clients(server):
            report = planting.looked(server.url(), config=cramped.CONFIG)
        missed = [one.name for one in cramped.PROBLEMS if planting.finds(report, one) is None]
        assert not missed, [(one.rule, one.where, one.mend_sql) for one in report.findings]

        cramped.amended(server, report)
        roomy = msgspec.structs.replace(cramped.CONFIG, monitor=MonitorConfig())
        after = planting.looked(server.url(), config=roomy)
        left = [one.name for one in cramped.PROBLEMS if planting.finds(after, one) is not None]
        assert not left, [(one.rule, one.where, one.mend_sql) for one in after.findings]


def test_every_rule_of_postgresql_has_been_planted() -> None:
    all_ = (
        *planted.IN_A_DATABASE,
        *planted.IN_A_SERVER,
        *planted.IN_SESSIONS,
        *planted.IN_THE_IDS,
        *cramped.PROBLEMS,
        planted.IN_FILES,
    )
    assert {one.rule for one in all_} == {one.rule for one in checks_of("postgresql")}
