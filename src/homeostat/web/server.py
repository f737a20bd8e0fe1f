"""Serve the application on 127.0.0.1, in a thread, and stop at once when told.

uvicorn waits for open responses when it stops, and an event stream never ends by itself: `stop`
first ends the streams, then tells uvicorn, which gives what is left one second. Signals are left to
the caller. There is no access log, and no way to listen on another address.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading

import uvicorn
from starlette.applications import Starlette

from homeostat.errors import ConfigError
from homeostat.web.patience import PatientProtocol
from homeostat.web.stream import Pump

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
BACKLOG = 256
CONNECTIONS_MAX = 1024  # 256 agents that keep theirs open, pages, streams, and room to spare
KEEP_ALIVE_SECONDS = 30
GRACE_SECONDS = 1  # for responses under way; uvicorn takes whole seconds
START_SECONDS_MAX = 10.0
POLL_SECONDS = 0.01  # uvicorn only sets a flag when it is up
STOP_SECONDS_MAX = 3.0


def listen(preferred: int = 0) -> socket.socket:
    """Return a listening socket on 127.0.0.1.

    Args:
        preferred: the port of the last start, so that open pages find the operator again; another
            one is taken when it is in use. 0: any free one.

    Raises:
        ConfigError: no port is free.
    """
    for port in dict.fromkeys((preferred, 0)):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            # only past connections of this port may linger; a second listener is still refused
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((HOST, port))
            listener.listen(BACKLOG)
        except (OSError, OverflowError) as error:
            listener.close()
            log.info("port %d is not free: %s", port, error)
        else:
            return listener
    raise ConfigError("No port of 127.0.0.1 is free for the page.", where="web.port")


class Server:
    """A running web server; `start` returns when it answers, `stop` when it is gone."""

    def __init__(self, app: Starlette, listener: socket.socket) -> None:
        """Prepare to serve an application of `create_app` on a socket of `listen`."""
        self.port: int = listener.getsockname()[1]
        self.url = f"http://{HOST}:{self.port}"
        self._listener = listener
        self._pump: Pump = app.state.pump
        self._uvicorn = uvicorn.Server(
            uvicorn.Config(
                app,
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                date_header=False,
                proxy_headers=False,
                ws="none",
                http=PatientProtocol,
                lifespan="on",
                limit_concurrency=CONNECTIONS_MAX,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)
        self._over = threading.Event()

    def start(self) -> None:
        """Start serving.

        Raises:
            ConfigError: it did not come up; the log says why.
        """
        self._thread.start()
        for _ in range(int(START_SECONDS_MAX / POLL_SECONDS)):
            if self._uvicorn.started:
                return
            if self._over.wait(POLL_SECONDS):
                break
        self.stop()
        raise ConfigError("The page's server did not start. The log says why.", where=self.url)

    def stop(self) -> None:
        """End open streams, then the server; safe to call twice."""
        self._pump.stop()
        self._uvicorn.should_exit = True
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS_MAX)
        self._listener.close()

    def _run(self) -> None:
        try:
            with contextlib.suppress(SystemExit):  # uvicorn's way to say that it did not start
                self._uvicorn.run(sockets=[self._listener])
        except Exception:
            log.exception("the page's server failed")
        finally:
            self._over.set()
