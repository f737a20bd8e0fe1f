"""`homeostat grants`: exactly what it prints is enough to observe, to check, and to act."""

from __future__ import annotations

import os
import pwd
import secrets
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest

from homeostat.check.database import DatabaseCheck
from homeostat.cli.shapes import GrantsReport
from homeostat.config import CheckConfig, CloneConfig, Config
from homeostat.driver import postgres
from homeostat.driver.wire import Wire
from homeostat.engine import Engine, Target, Unsupported, open_engine
from homeostat.engine.facets import IndexSpec
from homeostat.errors import DatabaseError, RightMissingError
from homeostat.measure import Unknown
from tests.cli.stage import Run_
from tests.servers import NEWEST, PostgresServer, running_server, versions
from tests.tune.shop import ADD_ORDER, CONFIG, ORDERS_OF, fill, shop

OWNER = "owner of shop"


class Place:
    """A database whose tables belong to a role that is no superuser, on a service or not."""

    def __init__(self, server: PostgresServer, *, managed: bool) -> None:
        self.server = server
        self.name = f"least_{secrets.token_hex(3)}"
        self.password = "of-the-least"
        self.database = server.create_database()
        self.admin = server.url(self.database)
        server.execute(f"CREATE ROLE \"{OWNER}\" LOGIN PASSWORD 'o'")
        server.execute(f'ALTER DATABASE {self.database} OWNER TO "{OWNER}"')
        if managed:  # as services make it: roles and databases, members of the monitoring roles
            server.execute("CREATE ROLE master LOGIN PASSWORD 'm' CREATEROLE CREATEDB")
            server.execute("GRANT pg_monitor, pg_signal_backend TO master WITH ADMIN OPTION")
            server.execute(f'GRANT "{OWNER}" TO master WITH ADMIN OPTION')
            server.execute("CREATE EXTENSION pg_stat_statements", database=self.database)
            self.admin = server.url(self.database, user="master", password="m")
        wire = postgres.connect(server.url(self.database, user="owner%20of%20shop", password="o"))
        fill(wire)
        wire.close()

    def run(self, report: GrantsReport, *, optional: bool = False) -> None:
        """Run what was printed, and nothing else, as the admin."""
        wire = postgres.connect(self.admin)
        for one in report.statements:
            if one.where == "database" and (optional or not one.optional):
                wire.execute(one.sql)
        wire.execute(f"ALTER ROLE {self.name} PASSWORD '{self.password}'")
        wire.close()

    @property
    def url(self) -> str:
        return self.server.url(self.database, user=self.name, password=self.password)

    def remove(self) -> None:
        self.server.drop_database(self.database)
        for role in (self.name, f"{self.name}_clones", "master", f'"{OWNER}"'):
            self.server.execute(f"DROP ROLE IF EXISTS {role}")


@pytest.fixture(params=["none", "rds"])
def place(request: pytest.FixtureRequest, pg_server: PostgresServer) -> Iterator[Place]:
    one = Place(pg_server, managed=request.param != "none")
    yield one
    one.remove()


def asked(homeostat: Run_, place: Place, *words: str) -> GrantsReport:
    parts = urlsplit(place.admin)
    url = f"postgresql://{parts.username}@{parts.hostname}:{parts.port}{parts.path}"
    said = homeostat(
        "grants",
        url,
        "--name",
        place.name,
        *words,
        "--json",
        env={"PGPASSWORD": parts.password or ""},
    )
    assert said.code == 0, said.err
    return msgspec.convert(said.json(), GrantsReport)


def unknown(engine: Engine) -> dict[str, str]:
    inspect = engine.inspect
    assert not isinstance(inspect, Unsupported)
    inspect.performance()
    readings = {**inspect.health(), **inspect.performance()}
    return {name: value.reason for name, value in readings.items() if isinstance(value, Unknown)}


def test_the_monitor_role_sees_all_and_no_row(homeostat: Run_, place: Place) -> None:
    report = asked(homeostat, place)
    place.run(report)
    engine = open_engine(Target(place.url))
    try:
        blind = {name: why for name, why in unknown(engine).items() if "GRANT" in why}
        assert not blind
        assert engine.inspect.activity().connections  # type: ignore[union-attr]
        workload = engine.workload
        assert not isinstance(workload, Unsupported)
        assert workload.statements()
        assert workload.note == ""
        with pytest.raises(RightMissingError):
            engine.execute("SELECT count(*) FROM orders")
        check = DatabaseCheck(Config(check=CheckConfig(watch_seconds=0))).look_at(engine)
        offered = [one.sql.rstrip(";") for one in report.statements if one.optional]
        for gap in check.unseen:
            granted = "pg_monitor" not in gap.mend and "pg_stat" not in gap.mend
            assert granted or any(one in gap.mend for one in offered), gap
    finally:
        engine.close()
    left = asked(homeostat, place)
    assert all(one.optional for one in left.statements), left.statements


def test_what_is_optional_adds_plans(homeostat: Run_, pg_server: PostgresServer) -> None:
    place = Place(pg_server, managed=False)
    try:
        place.run(asked(homeostat, place), optional=True)
        engine = open_engine(Target(place.url))
        explain = engine.explain
        assert not isinstance(explain, Unsupported)
        assert (
            explain.estimate("SELECT id FROM orders WHERE customer_id = 5").root.relation
            == "orders"
        )
        assert engine.execute("SELECT count(*) FROM pg_hba_file_rules").scalar()
        check = DatabaseCheck(Config(check=CheckConfig(watch_seconds=0))).look_at(engine)
        assert not [gap for gap in check.unseen if "GRANT" in gap.mend]
        wire = postgres.connect(place.url)
        with pytest.raises(RightMissingError):
            wire.execute("DELETE FROM orders")
        wire.close()
        engine.close()
        assert asked(homeostat, place).statements == []
    finally:
        place.remove()


def test_the_acting_role_indexes_analyses_and_copies(homeostat: Run_, place: Place) -> None:
    report = asked(homeostat, place, "--role", "act")
    place.run(report)
    [clones] = [one for one in report.statements if one.where == "clone server"]
    place.server.execute(clones.sql)
    place.server.execute(f"ALTER ROLE {place.name}_clones PASSWORD 'c'")
    clone = CloneConfig(url=place.server.url("postgres", user=f"{place.name}_clones", password="c"))
    engine = open_engine(Target(place.url, clone=clone))
    try:
        assert isinstance(acted(engine, place.url), float)
        copies = engine.clone
        assert not isinstance(copies, Unsupported)
        made = copies.create(owner="test", expires_seconds=60, bytes_max=10**9)
        with copies.connect(made.name) as wire:
            assert wire.execute("SELECT count(*) FROM orders").scalar() == 60_000
        assert copies.drop(made.name)
    finally:
        engine.close()
    left = asked(homeostat, place, "--role", "act")
    assert all(one.optional or one.where != "database" for one in left.statements)


@pytest.mark.skipif(NEWEST not in versions(), reason="only Debian's PostgreSQL is here")
def test_on_the_newest_server_membership_does_not_let_it_become_the_owner(
    homeostat: Run_,
) -> None:
    with running_server(version=NEWEST) as server:
        place = Place(server, managed=True)
        report = asked(homeostat, place, "--role", "act")
        assert any("SET FALSE" in one.sql for one in report.statements)
        place.run(report)
        engine = open_engine(Target(place.url))
        assert isinstance(acted(engine, place.url), float)
        engine.close()
        wire = postgres.connect(place.url)
        with pytest.raises(DatabaseError):
            wire.execute(f'SET ROLE "{OWNER}"')
        wire.close()


def acted(engine: Engine, url: str) -> float:
    """Build, rebuild and drop an index and refresh statistics, as remedies do."""
    maintain = engine.maintain
    assert not isinstance(maintain, Unsupported)
    wire: Wire = postgres.connect(url)
    try:
        spec = IndexSpec("orders", ("customer_id",), "orders_customer")
        seconds = maintain.create_index(spec, wire=wire, deadline_ms=None)
        maintain.rebuild_index("orders_customer", wire=wire)
        maintain.refresh_statistics(["orders"], wire=wire)
        maintain.drop_index("orders_customer", wire=wire)
    finally:
        wire.close()
    return seconds


@pytest.mark.slow
def test_a_remedy_goes_through_all_its_moves_with_the_acting_role(
    homeostat: Run_, pg_server: PostgresServer, tmp_path: Path
) -> None:
    place = Place(pg_server, managed=True)
    try:
        report = asked(homeostat, place, "--role", "act")
        place.run(report)
        [clones] = [one for one in report.statements if one.where == "clone server"]
        pg_server.execute(clones.sql)
        pg_server.execute(f"ALTER ROLE {place.name}_clones PASSWORD 'c'")
        clone = CloneConfig(url=pg_server.url(user=f"{place.name}_clones", password="c"))
        config = msgspec.structs.replace(CONFIG, clone=clone)
        with shop(tmp_path / "data", place.url, [ORDERS_OF, ADD_ORDER], config) as one:
            record = one.remedy("create-index", "kept", "reverted", "ineffective")
            assert record.verdict
    finally:
        place.remove()


def test_what_it_prints_is_sql_that_needs_no_look(homeostat: Run_) -> None:
    said = homeostat("grants", "--role", "act", "--owner", OWNER, "--managed", "cloudsql")
    assert said.code == 0
    lines = [line for line in said.out.splitlines() if not line.startswith("--")]
    assert 'GRANT "owner of shop" TO "homeostat";' in lines
    assert all(line.endswith(";") for line in lines)
    assert "pg_hba" not in said.out
    assert "cloudsqlsuperuser" in said.out
    nobody = homeostat("grants", "--role", "act")
    assert nobody.code == 2
    assert "--owner" in nobody.err


def test_a_superuser_is_told_that_it_is_too_much(
    homeostat: Run_, pg_server: PostgresServer, pg_database: str
) -> None:
    url = pg_database.replace(f":{pg_server.password}@", "@")
    said = homeostat("grants", url, "--name", "postgres", env={"PGPASSWORD": pg_server.password})
    assert "more than Homeostat needs" in said.out
    assert "CREATE ROLE" not in said.out


def test_for_a_file_it_tells_the_rights_of_the_file_system(
    homeostat: Run_, sqlite_path: Path
) -> None:
    before = sqlite_path.stat()
    report = GrantsReport(**homeostat("grants", "--role", "act", str(sqlite_path), "--json").json())
    assert report.dialect == "sqlite"
    assert report.statements == []
    after = sqlite_path.stat()
    assert (after.st_mtime_ns, after.st_atime_ns) == (before.st_mtime_ns, before.st_atime_ns)
    said = homeostat("grants", str(sqlite_path))
    assert f"read {sqlite_path}" in said.out
    assert f"write {sqlite_path}" not in said.out
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(sqlite_path, nobody.pw_uid, nobody.pw_gid)
    assert homeostat("grants", str(sqlite_path.parent / "none.db")).code == 1
