"""Connections that end: one that the server hung up, seen without asking it, and hanging up here.

Nothing is sent to the server.
"""

from __future__ import annotations

import os
import select
import socket
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import pq

LAST_WORDS_MAX = 4  # a server that hangs up leaves a message and an end of file to read


def still_there(connection: psycopg.Connection[Any], poll: select.poll) -> bool:
    """Return whether a server that has said something unasked has not hung up."""
    pgconn = connection.pgconn
    with suppress(psycopg.Error):
        for _ in range(LAST_WORDS_MAX):
            if pgconn.status == pq.ConnStatus.OK and poll.poll(0):
                pgconn.consume_input()
    return pgconn.status == pq.ConnStatus.OK


def hang_up(connection: psycopg.Connection[Any]) -> None:
    """Close a connection under the thread that waits for it."""
    with socket.socket(fileno=os.dup(connection.pgconn.socket)) as twin:
        twin.shutdown(socket.SHUT_RDWR)
