"""The operator's API on a real port, and the real executable in pipes or on a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.cli.stage import EXECUTABLE, Described, Run_, Said, announce, environment, serve
from tests.patience import joined


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def operator(data: Path) -> Iterator[Described]:
    described = Described(data)
    server = serve(described)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    announce(data, url=f"http://127.0.0.1:{server.server_port}")
    yield described
    server.shutdown()
    joined(thread)
    server.server_close()


@pytest.fixture
def homeostat(data: Path) -> Run_:
    """Run the executable with its output in pipes; HOMEOSTAT_DATA points at `data`."""

    def run(*words: str, env: Mapping[str, str] | None = None) -> Said:
        done = subprocess.run(
            [str(EXECUTABLE), *words],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            stdin=subprocess.DEVNULL,
            env=environment(data, env),
        )
        return Said(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def on_terminal(data: Path) -> Run_:
    """Run the executable on a pseudo-terminal of 80 by 24."""

    def run(*words: str, typed: str = "", env: Mapping[str, str] | None = None) -> Said:
        main, side = pty.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        plain = {"TERM": "xterm-256color", **(env or {})}
        process = subprocess.Popen(
            [str(EXECUTABLE), *words],
            stdin=side,
            stdout=side,
            stderr=side,
            env=environment(data, plain),
            start_new_session=True,
        )
        os.close(side)
        out = b""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            ready, _, _ = select.select([main], [], [], 0.1)
            if ready:
                try:
                    piece = os.read(main, 65_536)
                except OSError:
                    break
                if not piece:
                    break
                out += piece
                if typed and out.endswith(b": "):  # the prompt; typed sooner, it would be lost
                    os.write(main, typed.encode())
                    typed = ""
            elif process.poll() is not None:
                break
        os.close(main)
        code = process.wait(timeout=10)
        return Said(code, out.decode().replace("\r\n", "\n"), "")

    return run
