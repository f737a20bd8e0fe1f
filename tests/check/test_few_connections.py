"""Where all connections together may take more memory than there is, fewer of them are permitted.

Never so few that the server would not start, or that those connected now would not fit.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from homeostat.check import postgres_machine
from homeostat.driver import postgres
from tests.check import planting
from tests.servers import PostgresServer, running_server

RESERVED = 10
CLIENTS = 6


def mend_of(server: PostgresServer) -> str:
    found = planting.looked(server.url()).findings
    [mend] = [one.mend_sql for one in found if one.where == "work_mem"]
    return mend


@pytest.mark.slow
def test_the_server_starts_and_takes_those_connected_after_the_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = tmp_path / "memory.max"
    memory.write_text("200000000")
    monkeypatch.setattr(postgres_machine, "MEMORY_LIMIT", memory)
    with running_server(settings={"superuser_reserved_connections": str(RESERVED)}) as server:
        server.execute("CREATE ROLE app LOGIN PASSWORD 'app'")
        app = server.url(user="app", password="app")
        assert "take -c max_connections away" in mend_of(server), "ALTER SYSTEM alone does nothing"
        del server.settings["max_connections"]
        (server.data / "standby.signal").touch()
        server.restart()
        assert "ALTER SYSTEM" not in mend_of(server), "a standby follows its primary"
        (server.data / "standby.signal").unlink()
        server.restart()
        with ExitStack() as stack:
            for _ in range(CLIENTS):
                stack.callback(postgres.connect(app).close)
            [finding] = [
                one for one in planting.looked(server.url()).findings if one.where == "work_mem"
            ]
        planting.mend(finding, server.execute)
        server.restart()
        most = int(str(server.execute("SHOW max_connections")[0][0]))
        assert RESERVED + CLIENTS < most < 60
        with ExitStack() as stack:
            for _ in range(CLIENTS):
                stack.callback(postgres.connect(app).close)
            memory.write_text("150000000")
            none = mend_of(server)
        assert "ALTER SYSTEM" not in none
        assert f"{RESERVED} reserved" in none
