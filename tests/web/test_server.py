"""The server listens on 127.0.0.1 only, keeps its port, and ends at once with streams open."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path

import pytest

from homeostat.clock import ManualClock
from homeostat.errors import ConfigError
from homeostat.web import listen
from tests.patience import line_of
from tests.web.fake import FakeConsole
from tests.web.site import TOKEN, Stream, running_site

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys, time, threading
from pathlib import Path
from tests.web.fake import FakeConsole
from tests.web.site import running_site

try:
    with running_site(FakeConsole(time.time), Path(sys.argv[1])) as site:
        print(site.port, flush=True)
        threading.Event().wait()
except KeyboardInterrupt:
    pass
"""


def test_it_is_reached_from_this_machine_only(
    console: FakeConsole, clock: ManualClock, tmp_path: Path
) -> None:
    with running_site(console, tmp_path, clock=clock) as site:
        bound = site.server._listener.getsockname()
        assert bound[0] == "127.0.0.1"
        assert site.server.url == f"http://127.0.0.1:{bound[1]}"


def test_the_port_of_the_last_start_is_kept(
    console: FakeConsole, clock: ManualClock, tmp_path: Path
) -> None:
    with running_site(console, tmp_path, clock=clock) as first:
        stream = Stream(first)  # its connection lingers after the end
        port = first.port
    stream.close()
    with running_site(console, tmp_path, clock=clock, port=port) as second:
        assert second.port == port


def test_a_port_in_use_gives_way_to_a_free_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with listen(taken) as listener:
            assert listener.getsockname()[1] not in {0, taken}


def test_a_server_that_does_not_come_up_is_an_error(
    console: FakeConsole,
    clock: ManualClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(_self: object) -> None:
        raise RuntimeError("no pump")

    monkeypatch.setattr("homeostat.web.stream.Pump.start", broken)
    with pytest.raises(ConfigError), running_site(console, tmp_path, clock=clock):
        pass


def test_stopping_ends_open_streams_at_once(
    console: FakeConsole, clock: ManualClock, tmp_path: Path
) -> None:
    with running_site(console, tmp_path, clock=clock) as site:
        streams = [Stream(site) for _ in range(5)]
        started = time.monotonic()
        site.server.stop()
        assert time.monotonic() - started < 1.0
        assert not site.server._thread.is_alive()
        for stream in streams:
            assert list(stream.messages()) == []
            stream.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_with_a_page_open_ends_the_process(tmp_path: Path, number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        port = int(line_of(process.stdout))
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        connection.request("GET", "/api/v1/events", headers=headers)
        response = connection.getresponse()
        assert response.status == 200
        response.readline()  # the stream is under way
        started = time.monotonic()
        process.send_signal(number)
        _, errors = process.communicate(timeout=10)
        assert time.monotonic() - started < 5.0  # it would be for ever; 0.3 s on a quiet machine
        connection.close()
    if number == signal.SIGINT:
        assert process.returncode == 0
        assert errors == ""
