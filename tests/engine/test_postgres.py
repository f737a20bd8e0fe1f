"""What the engine tells of a PostgreSQL server, and what it can do to its sessions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from homeostat.driver import postgres
from homeostat.driver.postgres import PostgresWire
from homeostat.engine import METRICS, Control, Inspect, Target, Unsupported, open_engine
from homeostat.engine.engine import Engine
from homeostat.engine.postgres import METRICS as POSTGRESQL_METRICS
from homeostat.errors import (
    ConfigError,
    ConnectError,
    ConnectionLostError,
    DatabaseLockedError,
    DeadlineExceededError,
    PoolerRefusedError,
    ReadOnlyDatabaseError,
    RightMissingError,
)
from homeostat.measure import Kind, Unknown
from tests.pgbouncer import running_pgbouncer
from tests.servers import PostgresServer, wait_until

pytestmark = pytest.mark.every_postgres

Connect = Callable[..., PostgresWire]


@pytest.fixture
def engine(pg_database: str) -> Iterator[Engine]:
    engine = open_engine(Target(pg_database, application_name="homeostat/test"))
    yield engine
    engine.close()


@pytest.fixture
def application(pg_database: str) -> Iterator[Connect]:
    wires: list[PostgresWire] = []

    def connect(name: str, url: str = pg_database) -> PostgresWire:
        wires.append(postgres.connect(url, application_name=name))
        return wires[-1]

    yield connect
    for wire in wires:
        wire.close()


def inspect(engine: Engine) -> Inspect:
    assert not isinstance(engine.inspect, Unsupported)
    return engine.inspect


def control(engine: Engine) -> Control:
    assert not isinstance(engine.control, Unsupported)
    return engine.control


def number(value: float | Unknown) -> float:
    assert not isinstance(value, Unknown), value
    return value


def test_every_reading_is_registered_and_every_metric_read(engine: Engine) -> None:
    read = {**inspect(engine).health(), **inspect(engine).performance()}
    assert set(read) == {spec.name for spec in POSTGRESQL_METRICS}
    assert set(POSTGRESQL_METRICS) <= set(METRICS)
    counters = {spec.name for spec in POSTGRESQL_METRICS if spec.kind is Kind.COUNTER}
    assert all(isinstance(read[name], float) for name in counters)
    for value in read.values():
        assert isinstance(value, float) or value.reason


def test_identity_is_the_same_by_every_route(engine: Engine, pg_server: PostgresServer) -> None:
    identity = engine.identity()
    database = identity.label.split(" ")[0]
    by_name = pg_server.url(database).replace("127.0.0.1", "localhost")
    other = open_engine(Target(by_name))
    assert other.identity().key == identity.key
    assert identity.key.startswith("postgresql-")
    assert identity.version.split(".")[0].isdigit()
    assert pg_server.password not in repr(identity)
    other.close()


def test_identity_without_the_right_to_the_system_identifier(pg_server: PostgresServer) -> None:
    name = pg_server.create_database()
    pg_server.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC", database=name)
    pg_server.execute("CREATE ROLE plain LOGIN PASSWORD 'plain'")
    url = pg_server.url(name, user="plain", password="plain")
    keys = set()
    for _ in range(2):
        engine = open_engine(Target(url))
        keys.add(engine.identity().key)
        engine.close()
    assert len(keys) == 1
    assert next(iter(keys)).startswith("postgresql-a")
    pg_server.drop_database(name)
    pg_server.execute("DROP ROLE plain")


def test_the_session_that_blocks_others_is_named_without_values(
    engine: Engine, application: Connect
) -> None:
    holder, waiter = application("holder"), application("waiter")
    holder.execute("CREATE TABLE t (a int, b text)")
    holder.begin(write=True)
    holder.execute("INSERT INTO t VALUES (42, 'hunter2')")
    holder.execute("LOCK TABLE t")
    holder.execute("SELECT 'hunter2', 42")
    thread = threading.Thread(target=waiter.execute, args=("SELECT * FROM t WHERE a = 42",))
    thread.start()
    wait_until(lambda: inspect(engine).activity().waiting == 1, 10, "the waiter to wait")
    activity = inspect(engine).activity()
    (found,) = activity.holders
    assert (found.pid, found.application, found.blocked) == (holder.backend_pid, "holder", 1)
    assert found.what == "SELECT ?, ?"
    assert found.held_seconds is not None
    assert found.held_seconds > 0
    waiting = next(one for one in activity.sessions if one.pid == waiter.backend_pid)
    assert waiting.blocked_by == (holder.backend_pid,)
    assert waiting.wait.startswith("Lock:")
    assert "hunter2" not in repr(activity)
    performance = inspect(engine).performance()
    assert performance["postgresql.blocked_sessions"] == 1
    assert number(performance["postgresql.idle_transaction_seconds"]) > 0
    holder.rollback()
    thread.join(10)
    assert inspect(engine).activity().holders == ()


def test_the_root_of_a_chain_of_waiting_comes_first(engine: Engine, application: Connect) -> None:
    wires = [application(f"app{number}") for number in range(3)]
    wires[0].execute("CREATE TABLE t (a int PRIMARY KEY)")
    wires[0].execute("INSERT INTO t VALUES (1), (2)")
    for index, wire in enumerate(wires[:2]):
        wire.begin(write=True)
        wire.execute("SELECT * FROM t WHERE a = :a FOR UPDATE", {"a": index + 1})
    lock = "SELECT * FROM t WHERE a = :a FOR UPDATE"
    threads = [
        threading.Thread(target=wires[1].execute, args=(lock, {"a": 1})),
        threading.Thread(target=wires[2].execute, args=(lock, {"a": 2})),
    ]
    for thread in threads:
        thread.start()
    wait_until(lambda: inspect(engine).activity().waiting == 2, 10, "two waiters")
    assert [holder.application for holder in inspect(engine).activity().holders] == ["app0", "app1"]
    wires[0].rollback()
    threads[0].join(10)
    wires[1].rollback()
    threads[1].join(10)


def test_connections_are_counted_against_what_is_permitted(
    engine: Engine, application: Connect, pg_server: PostgresServer
) -> None:
    before = inspect(engine).activity()
    assert before.connections_max == 60 - 3
    application("one more")
    assert number(inspect(engine).activity().connections) == number(before.connections) + 1
    database = engine.identity().label.split(" ")[0]
    pg_server.execute(f"ALTER DATABASE {database} CONNECTION LIMIT 3")
    assert inspect(engine).activity().connections_max == 3
    assert inspect(engine).performance()["postgresql.connections_used_share"] == 2 / 3


def test_each_limit_of_connections_counts_what_is_in_its_scope(pg_server: PostgresServer) -> None:
    name = pg_server.create_database()
    pg_server.execute("CREATE ROLE few LOGIN PASSWORD 'few' CONNECTION LIMIT 12")
    pg_server.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 9")
    with ExitStack() as stack:
        engine = open_engine(Target(pg_server.url(name, user="few", password="few")))
        stack.callback(engine.close)
        for _ in range(4):
            stack.callback(postgres.connect(pg_server.url()).close)
        stack.callback(postgres.connect(pg_server.url(name)).close)
        seen = inspect(engine).activity()
        share = inspect(engine).performance()["postgresql.connections_used_share"]
        found = {one.scope: one for one in seen.limits}
    assert (found["database"].name, found["database"].used_max) == (name, 9)
    assert (found["role"].name, found["role"].used_max) == ("few", 12)
    assert found["server"].used_max == 60 - 3
    own = found["role"].used  # of the engine alone
    assert found["database"].used == own + 1
    assert found["server"].used >= own + 5
    assert seen.limits[0].share == max(one.share for one in seen.limits) == share
    pg_server.drop_database(name)
    pg_server.execute("DROP ROLE few")


def test_counters_only_grow_and_the_hit_share_needs_two_readings(
    engine: Engine, application: Connect
) -> None:
    first = inspect(engine).performance()
    assert isinstance(first["postgresql.cache_hit_share"], Unknown)
    wire = application("writer")
    wire.execute("CREATE TABLE t (a int)")
    wire.execute("INSERT INTO t SELECT generate_series(1, 1000)")
    wire.close()

    def inserted() -> bool:
        now = inspect(engine).performance()
        name = "postgresql.rows_inserted"
        return number(now[name]) >= number(first[name]) + 1000

    wait_until(inserted, 10, "the statistics to arrive")


def test_a_role_without_rights_gets_reasons_not_zeros(pg_server: PostgresServer) -> None:
    name = pg_server.create_database()
    pg_server.execute("CREATE ROLE watcher LOGIN PASSWORD 'watcher'")
    engine = open_engine(Target(pg_server.url(name, user="watcher", password="watcher")))
    hidden = inspect(engine).performance()["postgresql.longest_transaction_seconds"]
    assert isinstance(hidden, Unknown)
    assert "GRANT pg_monitor" in hidden.reason
    assert isinstance(inspect(engine).activity().waiting, Unknown)
    assert isinstance(inspect(engine).health()["disk.used_share"], Unknown)
    used = number(inspect(engine).performance()["postgresql.connections_used"])
    other = postgres.connect(pg_server.url(name))
    assert inspect(engine).performance()["postgresql.connections_used"] == used + 1
    assert inspect(engine).activity().connections == used + 1
    with pytest.raises(RightMissingError, match="pg_signal_backend"):
        control(engine).end_session(other.backend_pid)
    other.close()
    pg_server.execute("GRANT pg_monitor TO watcher")
    assert number(inspect(engine).performance()["postgresql.longest_transaction_seconds"]) >= 0
    engine.close()
    pg_server.drop_database(name)
    pg_server.execute("DROP ROLE watcher")


def test_the_probe_connection_reads_only_and_within_its_time(engine: Engine) -> None:
    with pytest.raises(ReadOnlyDatabaseError):
        engine.execute("CREATE TABLE t (a int)")
    with pytest.raises(DeadlineExceededError):
        engine.execute("SELECT pg_sleep(10)", deadline_ms=50)
    assert engine.execute("SHOW lock_timeout").scalar() == "100ms"


def test_the_probe_connection_opens_itself_again(pg_own_server: PostgresServer) -> None:
    engine = open_engine(Target(pg_own_server.url(), connect_timeout_seconds=2))
    pid = engine.execute("SELECT pg_backend_pid()").scalar()
    pg_own_server.execute(f"SELECT pg_terminate_backend({pid}, 5000)")
    assert not isinstance(engine.control, Unsupported), "a new session is not a pooler's"
    assert engine.execute("SELECT pg_backend_pid()").scalar() != pid
    pg_own_server.kill()
    with pytest.raises(ConnectError):
        inspect(engine).health()
    pg_own_server.start()
    assert number(inspect(engine).performance()["postgresql.connections_used"]) >= 1
    engine.close()
    with pytest.raises(ConnectionLostError):
        engine.execute("SELECT 1")


def test_settings_that_hold_secrets_are_said_to_be_set_and_no_more(
    pg_own_server: PostgresServer,
) -> None:
    pg_own_server.execute("ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 password=hunter2'")
    pg_own_server.execute("ALTER SYSTEM SET restore_command = 'fetch --key hunter2 %f %p'")
    pg_own_server.restart()
    engine = open_engine(Target(pg_own_server.url()))
    try:
        found = {one.name: one for one in inspect(engine).settings_in_force()}
    finally:
        engine.close()
    assert found["primary_conninfo"].value == found["restore_command"].value == "***"
    assert found["recovery_end_command"].value == ""  # not set: no secret
    assert found["port"].value == str(pg_own_server.port)
    assert "hunter2" not in repr(found)


def test_end_work_ends_the_sessions_of_the_prefix_and_no_other(
    engine: Engine, application: Connect
) -> None:
    old = [application("homeostat/run7/epoch1"), application("homeostat/run7/epoch1 control")]
    bystander = application("shop")
    old[0].begin(write=True)
    old[0].execute("CREATE TABLE half_done (a int)")
    assert control(engine).end_work("homeostat/run7/") == 2
    for wire in old:
        with pytest.raises(ConnectionLostError):
            wire.execute("SELECT 1")
    assert bystander.execute("SELECT to_regclass('half_done')").scalar() is None
    assert control(engine).end_work("homeostat/run7/") == 0
    with control(engine).lock("mine") as taken:
        assert taken
        assert control(engine).end_work("homeostat/test") == 0  # our own probe and lock stay
        other = open_engine(Target(application_url(engine, bystander)))
        with control(other).lock("mine") as again:
            assert not again
        other.close()
    with pytest.raises(ConfigError):
        control(engine).end_work("")


def application_url(engine: Engine, wire: PostgresWire) -> str:
    """Return the URL that the engine was opened with."""
    del wire
    return engine._target.url  # type: ignore[attr-defined, no-any-return]


def test_end_session(engine: Engine, application: Connect) -> None:
    wire = application("shop")
    assert control(engine).end_session(wire.backend_pid) is True
    assert control(engine).end_session(wire.backend_pid) is False
    with pytest.raises(ConnectionLostError):
        wire.execute("SELECT 1")


def test_the_lock_excludes_others_and_ends_with_its_holder(
    engine: Engine, pg_database: str, application: Connect
) -> None:
    other = open_engine(Target(pg_database, application_name="other"))
    with control(engine).lock("operator") as mine, control(other).lock("operator") as theirs:
        assert (mine, theirs) == (True, False)
    with control(other).lock("operator") as theirs:
        assert theirs
        killer = application("killer")
        killer.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE application_name = 'other control'"
        )
        with control(engine).lock("operator") as mine:
            assert mine
    other.close()


def test_the_lock_outlives_the_servers_limit_for_idle_sessions(
    engine: Engine, pg_server: PostgresServer
) -> None:
    database = engine.identity().label.split(" ")[0]
    pg_server.execute(f"ALTER DATABASE {database} SET idle_session_timeout = '50ms'")
    with (
        closing(postgres.connect(pg_server.url(database))) as idle,
        control(engine).lock("operator"),
    ):
        gone = f"SELECT count(*) FROM pg_stat_activity WHERE pid = {idle.backend_pid}"
        wait_until(lambda: pg_server.execute(gone) == [(0,)], 10, "an idle session to end")
        with (
            closing(open_engine(Target(pg_server.url(database)))) as other,
            control(other).lock("operator") as taken,
        ):
            assert not taken


def test_behind_a_pooler_there_is_no_control(pg_server: PostgresServer, pg_database: str) -> None:
    with running_pgbouncer(pg_server) as pooler:
        url = pooler.url(pg_database)
        with pytest.raises(PoolerRefusedError, match="PgBouncer"):
            open_engine(Target(url))
        wire = postgres.connect(url, prepare=False)
        assert wire.execute("SELECT :a::int", {"a": 1}).scalar() == 1
        wire.close()
    with running_pgbouncer(pg_server, ignore_startup_parameters="options") as pooler:
        url = pooler.url(pg_database)
        engine = open_engine(Target(url))
        assert number(inspect(engine).activity().connections) >= 1
        assert isinstance(engine.control, Unsupported)
        assert "server's own address" in engine.control.mend
        engine.close()


def test_a_password_is_taken_from_its_reference(
    pg_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_PASSWORD", pg_server.password)
    bare = f"postgresql://postgres@127.0.0.1:{pg_server.port}/postgres"
    engine = open_engine(Target(bare, options={"password": "env:DB_PASSWORD"}))
    assert engine.execute("SELECT 1").scalar() == 1
    engine.close()


def test_work_is_done_by_one_at_a_time_and_found_by_its_name(
    engine: Engine, pg_database: str
) -> None:
    other = open_engine(Target(pg_database, application_name="homeostat/other"))
    with control(engine).work(
        purpose="run 1 epoch 1", lock="index:t", statement_timeout_ms=5000
    ) as wire:
        wire.execute("CREATE TABLE t (a int)")
        with (
            pytest.raises(DatabaseLockedError),
            control(other).work(purpose="run 2", lock="index:t", statement_timeout_ms=5000),
        ):
            pass
        assert control(other).end_work("homeostat/test run 1 ") == 1
        with pytest.raises(ConnectionLostError):
            wire.execute("DROP TABLE t")
    other.close()
