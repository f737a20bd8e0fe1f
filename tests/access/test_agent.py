"""The agent against a small operator over real HTTP: every way they can miss each other."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from homeostat.access.protocol import Settings
from homeostat.clock import ManualClock
from tests.access.conftest import MakeDatabase
from tests.access.helpers import SmallOperator, agent_of, in_thread, read, until
from tests.patience import SECONDS_MAX, line_of


def test_an_application_started_first_is_heard_once_the_operator_comes(
    make_database: MakeDatabase, operator: SmallOperator
) -> None:
    database = make_database(application="shop")
    read(database, 5)
    operator.start()
    until(lambda: operator.count("note.count") == 5)
    report = operator.taken[0]
    assert (report.application, report.pid) == ("shop", os.getpid())
    assert report.database == database.identity
    assert report.database.key.startswith("sqlite-")
    assert report.capabilities == ["pool.limit"]
    assert report.cores >= 1
    assert report.cpu_share is not None
    assert report.pools[0].limit == 2


def test_operations_are_reported_by_segment(
    make_database: MakeDatabase, operator: SmallOperator
) -> None:
    operator.start()
    database = make_database()
    read(database, 3, "free")
    read(database, 2, "paid")
    until(lambda: operator.count("note.count") == 5)
    counts: dict[str, int] = {}
    for one in operator.operations():
        counts[one.segment] = counts.get(one.segment, 0) + sum(one.latency.counts)
    assert counts == {"free": 3, "paid": 2}


def test_an_operator_that_restarts_on_another_port_is_found(
    make_database: MakeDatabase, operator: SmallOperator
) -> None:
    operator.start()
    database = make_database()
    read(database, 3)
    until(lambda: operator.count("note.count") == 3)
    old = operator.url
    operator.stop()  # the files stay, as after kill -9
    read(database, 4)
    until(lambda: agent_of(database).failures > 0)
    operator.start()
    assert operator.url != old
    until(lambda: operator.count("note.count") == 7)
    read(database, 1)
    until(lambda: operator.count("note.count") == 8)


def test_a_reply_that_was_lost_leads_to_no_double_count(
    make_database: MakeDatabase, operator: SmallOperator
) -> None:
    operator.start()
    database = make_database()
    for total in range(10, 60, 10):
        operator.mode = "lost"
        read(database, 10)
        until(lambda: operator.mode == "well")
        until(lambda total=total: operator.count("note.count") == total)  # type: ignore[misc]
    assert operator.posts > len(operator.taken)  # some were sent twice
    sequences = [report.sequence for report in operator.taken]
    assert sequences == list(range(1, len(sequences) + 1))


def test_a_frozen_operator_does_not_slow_calls_down(
    make_database: MakeDatabase, operator: SmallOperator
) -> None:
    operator.start()
    database = make_database()
    read(database, 1)
    until(lambda: operator.count("note.count") == 1)

    def fastest() -> float:
        times = []
        for _ in range(300):
            began = time.perf_counter()
            read(database, 1)
            times.append(time.perf_counter() - began)
        return sorted(times)[len(times) // 2]

    before = fastest()
    operator.mode = "frozen"
    posts = operator.posts
    until(lambda: operator.posts > posts)  # the agent now waits for an answer
    frozen = fastest()
    assert frozen < before * 2 + 1e-4
    until(lambda: agent_of(database).failures > 0)
    operator.stop()
    operator.mode = "well"
    operator.start()
    until(lambda: operator.count("note.count") == 601)


@pytest.mark.parametrize(
    "garbage",
    [b"", b"<html>hello</html>", b"[]", b'{"v": 1}', b"\xff\xfe\x00", b'{"v": 2, "epoch": 1}'],
)
def test_garbage_is_survived(
    make_database: MakeDatabase, operator: SmallOperator, garbage: bytes
) -> None:
    operator.mode = garbage
    operator.start()
    database = make_database()
    read(database, 2)
    until(lambda: agent_of(database).failures > 1)
    operator.mode = "well"
    until(lambda: operator.count("note.count") == 2)


def test_something_else_on_the_port_is_survived(
    make_database: MakeDatabase, operator: SmallOperator
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        operator.publish(f"http://127.0.0.1:{other.getsockname()[1]}")

        def talk() -> None:
            for _ in range(2):
                connection, _ = other.accept()
                with connection:
                    connection.sendall(b"220 mail.example ESMTP\r\n")

        thread = in_thread(talk)
        database = make_database()
        read(database, 2)
        thread.join(10)
    until(lambda: agent_of(database).failures > 1)
    operator.start()
    until(lambda: operator.count("note.count") == 2)


def test_a_report_that_is_refused_for_good_does_not_stop_the_next(
    make_database: MakeDatabase, operator: SmallOperator
) -> None:
    operator.status = 413
    operator.start()
    database = make_database()
    until(lambda: agent_of(database).failures > 0)
    operator.status = 200
    read(database, 2)
    until(lambda: operator.count("note.count") == 2)


def test_settings_resize_the_pool_and_are_acknowledged(
    make_database: MakeDatabase, operator: SmallOperator
) -> None:
    operator.start()
    database = make_database(limit=2)
    operator.settings = Settings(1, 60.0, {"pool.limit": 8, "unknown.knob": True})
    until(lambda: operator.taken and operator.taken[-1].applied_version == 1)
    assert database.pool.limit == 8
    report = operator.taken[-1].pools[0]
    assert (report.limit, report.limit_default, report.limit_max) == (8, 2, 64)
    operator.settings = Settings(2, 60.0, {})
    until(lambda: operator.taken[-1].applied_version == 2)
    assert database.pool.limit == 2


@pytest.mark.parametrize("limit", [0, -3, 65, 3.5, "many", True])
def test_a_limit_without_sense_is_refused_and_not_acknowledged(
    make_database: MakeDatabase, operator: SmallOperator, limit: float | str
) -> None:
    operator.start()
    database = make_database(limit=2)
    operator.settings = Settings(1, 60.0, {"pool.limit": limit})
    until(lambda: any(report.counters.get("settings_refused") for report in operator.taken))
    assert database.pool.limit == 2
    assert operator.taken[-1].applied_version == 0
    operator.settings = Settings(2, 60.0, {"pool.limit": 3})
    until(lambda: operator.taken[-1].applied_version == 2)
    assert database.pool.limit == 3


def test_settings_expire_when_no_operator_is_heard(
    make_database: MakeDatabase, operator: SmallOperator
) -> None:
    operator.start()
    database = make_database(limit=2)
    operator.settings = Settings(1, 0.5, {"pool.limit": 8})
    until(lambda: database.pool.limit == 8)
    operator.stop()
    until(lambda: database.pool.limit == 2)
    operator.start()  # the same settings count again once they are heard again
    until(lambda: database.pool.limit == 8)
    until(lambda: any(report.counters.get("settings_expired") for report in operator.taken))


def test_settings_expire_though_the_operator_is_frozen(
    make_database: MakeDatabase, operator: SmallOperator
) -> None:
    operator.start()
    database = make_database(limit=2)
    operator.settings = Settings(1, 0.5, {"pool.limit": 8})
    until(lambda: database.pool.limit == 8)
    operator.mode = "frozen"
    until(lambda: database.pool.limit == 2)


def test_an_operator_of_a_lower_epoch_is_not_obeyed(
    make_database: MakeDatabase, operator: SmallOperator
) -> None:
    operator.epoch = 5
    operator.start()
    database = make_database(limit=2)
    operator.settings = Settings(3, 60.0, {"pool.limit": 8})
    until(lambda: database.pool.limit == 8)
    operator.epoch = 4  # an old owner that was thawed
    operator.settings = Settings(9, 60.0, {"pool.limit": 1})
    until(lambda: agent_of(database).failures > 0)
    assert database.pool.limit == 8
    operator.epoch = 6  # a new owner may count its versions anew
    operator.settings = Settings(1, 60.0, {"pool.limit": 4})
    until(lambda: database.pool.limit == 4)
    read(database, 3)
    until(lambda: operator.count("note.count") == 3)


def test_an_older_version_is_not_obeyed(
    make_database: MakeDatabase, operator: SmallOperator
) -> None:
    operator.start()
    database = make_database(limit=2)
    operator.settings = Settings(3, 60.0, {"pool.limit": 8})
    until(lambda: database.pool.limit == 8)
    operator.settings = Settings(2, 60.0, {"pool.limit": 1})
    until(lambda: operator.taken[-1].counters.get("settings_stale"))
    assert database.pool.limit == 8


def test_the_last_counts_are_reported_on_closing(
    make_database: MakeDatabase, operator: SmallOperator
) -> None:
    operator.next_seconds = 60.0
    operator.start()
    database = make_database()
    until(lambda: operator.taken)
    read(database, 5)
    database.close()
    assert operator.count("note.count") == 5


def test_closing_does_not_wait_for_a_frozen_operator(
    make_database: MakeDatabase, operator: SmallOperator
) -> None:
    operator.start()
    database = make_database()
    until(lambda: operator.taken)
    operator.mode = "frozen"
    began = time.monotonic()
    database.close()
    assert time.monotonic() - began < 1.5


def test_counts_wait_in_bounded_memory_while_no_operator_is_there(
    make_database: MakeDatabase, operator: SmallOperator
) -> None:
    database = make_database()
    until(lambda: agent_of(database).failures > 0)
    for number in range(1000):  # more segments than are kept apart
        read(database, 1, f"segment {number}")
    operator.start()
    until(lambda: operator.count("note.count") == 1000)
    assert len({one.segment for one in operator.operations()}) < 300


SCRIPT = """
import sys
from homeostat.access import AgentOptions, Caller, Database, Operation
from pathlib import Path
file, directory, name, times = sys.argv[1:]
read = Operation("note.count", "SELECT count(*) FROM note")
options = AgentOptions(directory=Path(directory), close_seconds=10.0)
database = Database.open(file, agent=options, application=name, operations=[read])
for _ in range(int(times)):
    database.execute("note.count")
print("done", flush=True)
sys.stdin.read()
database.close()
"""


def application(
    file: Path, operator: SmallOperator, name: str, times: int
) -> subprocess.Popen[str]:
    arguments = [str(file), str(operator.directory), name, str(times)]
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert line_of(process.stdout) == "done\n"
    return process


def test_three_applications_are_told_apart(file: Path, operator: SmallOperator) -> None:
    operator.start()
    processes = [application(file, operator, f"app {n}", 10 * n) for n in (1, 2, 3)]
    try:
        until(lambda: operator.count("note.count") == 60)
        agents = {report.agent: report.application for report in operator.taken}
        assert sorted(agents.values()) == ["app 1", "app 2", "app 3"]
        assert len({report.database.key for report in operator.taken}) == 1
    finally:
        for process in processes:
            process.communicate("")


def test_an_application_killed_leaves_nothing_behind(file: Path, operator: SmallOperator) -> None:
    operator.start()
    before = sorted(path.name for path in operator.directory.iterdir())
    process = application(file, operator, "victim", 10)
    until(lambda: operator.count("note.count") == 10)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=SECONDS_MAX)
    assert sorted(path.name for path in operator.directory.iterdir()) == before
    posts = operator.posts
    survivor = application(file, operator, "survivor", 5)
    until(lambda: operator.count("note.count") == 15)
    assert operator.posts > posts
    survivor.communicate("")


FORK = """
import os, sys
from pathlib import Path
from homeostat.access import AgentOptions, Database, Operation
from homeostat.errors import AccessError
file, directory = sys.argv[1:]
write = Operation("note.add", "INSERT INTO note (text) VALUES ('x')", write=True)
read = Operation("note.count", "SELECT count(*) FROM note")
options = AgentOptions(directory=Path(directory), close_seconds=10.0)
imported = set(sys.modules)
database = Database.open(file, agent=options, application="forker", operations=[read, write])
database.execute("note.add")
try:
    with database.transaction(name="held") as held:
        held.execute("INSERT INTO note (text) VALUES ('y')")
        child = os.fork()
        if child == 0:
            assert database.pool.size == 0
            assert database.execute("note.count").scalar() == 1
        else:
            assert os.waitpid(child, 0)[1] == 0
except AccessError:  # the parent's transaction is not the child's to commit
    assert child == 0
    assert database.pool.size == 1
    database.close()
    os._exit(0)
assert child
database.execute("note.add")
assert database.execute("note.count").scalar() == 3
database.close()
# what a thread imports while another forks is inherited by half
assert set(sys.modules) == imported, set(sys.modules) - imported
"""


def test_a_forked_child_has_connections_and_an_agent_of_its_own(
    file: Path, operator: SmallOperator
) -> None:
    operator.start()
    command = [sys.executable, "-W", "ignore", "-c", FORK, str(file), str(operator.directory)]
    subprocess.run(command, check=True, timeout=20)
    assert operator.count("note.add") == 2
    assert operator.count("note.count") == 2
    reports = operator.taken
    assert len({report.boot for report in reports}) == 2
    assert len({report.agent for report in reports}) == 2


def test_settings_expire_at_their_time(
    make_database: MakeDatabase, operator: SmallOperator
) -> None:
    clock = ManualClock()
    database = make_database(limit=2, clock=clock)
    agent = agent_of(database)
    agent.stop()  # turns are taken by hand
    operator.settings = Settings(1, 60.0, {"pool.limit": 8})
    operator.start()
    assert agent.turn() == 0.0  # acknowledges at once
    assert database.pool.limit == 8
    operator.stop()
    clock.advance(59.9)
    agent.turn()
    assert database.pool.limit == 8
    clock.advance(0.2)
    agent.turn()
    assert database.pool.limit == 2
    assert agent.applied_version == 0


def test_two_handles_of_one_process_are_two_agents(
    make_database: MakeDatabase, operator: SmallOperator
) -> None:
    operator.start()
    first, second = make_database(application="shop"), make_database(application="shop")
    read(first, 3)
    read(second, 4)
    until(lambda: operator.count("note.count") == 7)
    assert len({report.agent for report in operator.taken}) == 2
