"""A pool of PgBouncer's that is too small: found, grown through its file, kept, and undone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from homeostat.clock import SystemClock
from homeostat.config import Config, DatabaseConfig
from homeostat.driver.wire import Wire
from homeostat.engine import open_engine
from homeostat.engine.engine import (
    Activity,
    ConnectionLimit,
    Engine,
    Identity,
    PoolerTarget,
    Target,
    Unsupported,
)
from homeostat.engine.facets import Pooler
from homeostat.engine.pgbouncer import PgBouncer as Facet
from homeostat.errors import HomeostatError, PoolerFileError
from homeostat.logbook.rows import Json, RemedyRecord
from homeostat.main import Running, prepare_data, start
from homeostat.maintain.pooler import INSTANCE
from homeostat.maintain.pooler_size import THROUGH, PoolerSizing, room_on_server
from homeostat.measure import Sample, Subject
from homeostat.operate.choose import UNDER_WAY
from homeostat.operate.recent import Recent
from homeostat.operate.remedy import Hands
from homeostat.operate.rule import View
from tests.faults.victim import CONFIG
from tests.maintain.pooling import clients
from tests.pgbouncer import PgBouncer, running_pgbouncer
from tests.servers import PostgresServer, wait_until

SECONDS = 40.0
PLAYS = 3
SIZE = "pool_size=2"


@pytest.fixture
def pooler(
    pg_server: PostgresServer, pg_database: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PgBouncer]:
    """Run a PgBouncer of two connections; its console's password is in the environment."""
    monkeypatch.setenv("POOLER_PASSWORD", pg_server.password)
    name = pg_database.rsplit("/", 1)[1]
    with running_pgbouncer(pg_server, name=name, database=SIZE) as one:
        yield one


def settings(url: str, pooler: PgBouncer, *, ini: bool = True) -> DatabaseConfig:
    return DatabaseConfig(
        url=url,
        pooler=pooler.console,
        pooler_password="env:POOLER_PASSWORD",
        pooler_ini=str(pooler.ini) if ini else "",
    )


@contextmanager
def operated(data: Path, database: DatabaseConfig, config: Config = CONFIG) -> Iterator[Running]:
    prepare_data(data)
    with ExitStack() as stack:
        databases = {"shop": database}
        clock = SystemClock()
        yield start(data, databases=databases, config=config, clock=clock, stack=stack)


def growth(running: Running) -> RemedyRecord | None:
    found = [one for one in running.console.remedies() if one.key == "grow-pool"]
    return found[-1] if found and found[-1].state not in UNDER_WAY else None


@pytest.mark.slow
@pytest.mark.timed
def test_it_is_found_grown_kept_and_undone_to_the_byte(
    pg_database: str, pooler: PgBouncer, tmp_path: Path
) -> None:
    for number in range(PLAYS):  # a busy machine may blur the batches, which are short here
        record = played(pg_database, pooler, tmp_path / str(number))
        assert "PgBouncer's pool" in record.title
        assert "password" not in json.dumps(msgspec.to_builtins(record))
        if record.state == "kept":
            return
    raise AssertionError(record.verdict)


def played(url: str, pooler: PgBouncer, data: Path) -> RemedyRecord:
    """Let the pool run out until the growth has ended, undo it if it was kept; check the file."""
    before, status = pooler.ini.read_bytes(), pooler.ini.stat()
    with clients(pooler.url(url)), operated(data, settings(url, pooler)) as running:
        wait_until(lambda: growth(running), SECONDS, "the end of the growth")
        record = growth(running)
        assert record is not None
        if record.state == "kept":
            assert "pool_size=4" in pooler.ini.read_text()
            after = pooler.ini.stat()
            assert (after.st_mode, after.st_uid) == (status.st_mode, status.st_uid)
            pools = running.console.status().databases[0].pools
            assert [one["limit"] for one in pools if one["agent"] == INSTANCE] == [4]
            running.console.decide(record.id, "revert", actor="ana")
            wait_until(
                lambda: running.console.remedy(record.id).remedy.state == "reverted", SECONDS
            )
    assert pooler.ini.read_bytes() == before
    assert size_of(url, pooler) == 2
    return record


@pytest.mark.parametrize("scope", ["database", "role"])
def test_there_is_no_more_room_than_the_narrowest_limit_leaves(scope: str) -> None:
    """The server's limit is nearer to its end by share, but has more connections left."""
    limits = (
        ConnectionLimit("server", "", 40.0, 60.0),
        ConnectionLimit(scope, "shop", 6.0, 16.0),  # type: ignore[arg-type]
    )
    recent = Recent()
    subject = Subject("shop", INSTANCE, "pool", "shop")
    recent.add([Sample(subject, "pool.connected", 0.0, 4.0)])
    recent.add([Sample(subject, "pool.limit", 0.0, 4.0)])
    view = View(
        at=0.0,
        identity=Identity("postgresql", "shop", "shop", "17"),
        config=Config(),
        recent=recent,
        activity=Activity(40.0, 60.0, limits=limits),
    )
    room, why = room_on_server(view, "shop", Config().pool)
    assert room == 4, "16 less a reserve of 10 and 2 of others"
    assert f"{scope} shop" in why


@pytest.mark.slow
def test_without_its_file_it_is_watched_and_told_what_would_let_it_act(
    pg_database: str, pooler: PgBouncer, tmp_path: Path
) -> None:
    with (
        clients(pooler.url(pg_database)),
        operated(tmp_path / "data", settings(pg_database, pooler, ini=False)) as running,
    ):

        def declined() -> bool:
            found = running.console.findings()
            return any("pooler_ini" in json.dumps(one.evidence) for one in found)

        wait_until(declined, SECONDS, "what would let it act")
        assert growth(running) is None
    assert SIZE in pooler.ini.read_text()


@pytest.mark.slow
def test_a_console_that_does_not_answer_is_a_finding(
    pg_database: str, pooler: PgBouncer, tmp_path: Path
) -> None:
    with operated(tmp_path / "data", settings(pg_database, pooler)) as running:
        pooler.stop()

        def silent() -> bool:
            return any(one.rule == "pooler-silent" for one in running.console.findings())

        wait_until(silent, SECONDS, "the finding")
        pooler.start()
        with clients(pooler.url(pg_database), count=1):
            wait_until(lambda: not silent(), SECONDS, "its end")


def size_of(url: str, pooler: PgBouncer) -> int:
    engine = opened(url, pooler)
    try:
        return facet(engine).reading().size
    finally:
        engine.close()


def opened(url: str, pooler: PgBouncer) -> Engine:
    target = PoolerTarget(pooler.console, "env:POOLER_PASSWORD", str(pooler.ini))
    return open_engine(Target(url, pooler=target))


def facet(engine: Engine) -> Pooler:
    assert not isinstance(engine.pooler, Unsupported)
    return engine.pooler


class KilledError(Exception):
    """Stands for the end of the process at a step."""


@dataclass
class DirectHands:
    """The hands of a run that has the engine, and no operator around it."""

    engine: Engine
    run: int = 1

    @contextmanager
    def work(self, *, run: int, lock: str, seconds: float | None = None) -> Iterator[Wire]:
        assert seconds is None
        control = self.engine.control
        assert not isinstance(control, Unsupported)
        with control.work(purpose=f"run {run}", lock=lock, statement_timeout_ms=5000) as wire:
            yield wire


def hands(engine: Engine) -> Hands:
    return DirectHands(engine)  # type: ignore[return-value]  # as much as sizing needs


@pytest.mark.parametrize("step", ["before writing", "before reading", "after"])
@pytest.mark.parametrize("then", ["again", "undone"])
def test_interrupted_at_every_step_it_is_done_again_or_undone(
    pg_database: str, pooler: PgBouncer, monkeypatch: pytest.MonkeyPatch, step: str, then: str
) -> None:
    """Whoever takes over sees what is in force, and either does the rest or undoes all of it."""
    before = pooler.ini.read_bytes()
    parameters: Json = {
        THROUGH: INSTANCE,
        "pool": pg_database.rsplit("/", 1)[1],
        "from": 2,
        "to": 4,
    }
    sizing = PoolerSizing()
    with clients(pooler.url(pg_database), count=1):
        engine = opened(pg_database, pooler)
        wait_until(lambda: known(engine), what="the database behind the pooler")
        undo = sizing.undo_of(parameters, hands(engine))
        with monkeypatch.context() as patch:
            if step != "after":
                name = "replace" if step == "before writing" else "reload"
                module = "pgbouncer_ini" if step == "before writing" else "pgbouncer"
                patch.setattr(f"homeostat.engine.pgbouncer.{module}.{name}", killed)
                with pytest.raises(KilledError):
                    sizing.apply(parameters, hands(engine))
            else:
                sizing.apply(parameters, hands(engine))
        engine.close()
        engine = opened(pg_database, pooler)  # the successor
        seen = sizing.observe(parameters, hands(engine))
        assert seen == ("done" if step == "after" else "not done")
        if then == "again":
            sizing.apply(parameters, hands(engine))
            assert sizing.observe(parameters, hands(engine)) == "done"
            assert facet(engine).reading().size == 4
        sizing.revert(parameters, undo, hands(engine))
        sizing.revert(parameters, undo, hands(engine))
        assert sizing.observe_undone(parameters, undo, hands(engine)) == "done"
        assert facet(engine).reading().size == 2
        engine.close()
    assert pooler.ini.read_bytes() == before


def known(engine: Engine) -> bool:
    try:
        return facet(engine).reading().size == 2
    except HomeostatError:
        return False


def killed(*_: object) -> None:
    raise KilledError


def test_a_line_that_somebody_changed_meanwhile_is_left_alone(
    pg_database: str, pooler: PgBouncer
) -> None:
    parameters: Json = {
        THROUGH: INSTANCE,
        "pool": pg_database.rsplit("/", 1)[1],
        "from": 2,
        "to": 4,
    }
    sizing = PoolerSizing()
    with clients(pooler.url(pg_database), count=1):
        engine = opened(pg_database, pooler)
        assert isinstance(engine.pooler, Facet)
        wait_until(lambda: known(engine), what="the database behind the pooler")
        undo = sizing.undo_of(parameters, hands(engine))
        sizing.apply(parameters, hands(engine))
        theirs = pooler.ini.read_text().replace("pool_size=4", "pool_size=7")
        pooler.ini.write_text(theirs)
        with pytest.raises(PoolerFileError, match="it was 2"):
            sizing.revert(parameters, undo, hands(engine))
        engine.close()
    assert pooler.ini.read_text() == theirs


def test_the_line_of_all_databases_is_left_alone(
    pg_server: PostgresServer, pg_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written into `*` would size the pools of databases that nobody asked about."""
    monkeypatch.setenv("POOLER_PASSWORD", pg_server.password)
    with (
        running_pgbouncer(pg_server, database=SIZE) as shared,
        clients(shared.url(pg_database), count=1),
    ):
        engine = opened(pg_database, shared)
        wait_until(lambda: "a line of its own" in facet(engine).cannot_size(), SECONDS)
        engine.close()
