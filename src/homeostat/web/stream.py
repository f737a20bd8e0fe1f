"""Server-sent events: what was committed, in order and without a gap, and the newest tick.

One thread, the pump, waits for the operator and reads what is new once for all streams; it keeps
the newest events in a ring of bounded size. A stream keeps only its position, so a slow reader
costs no memory: it takes from the ring, or from the logbook when it is far behind, page by page.
A reader that takes nothing for `SEND_SECONDS_MAX` is dropped; it comes back with Last-Event-ID and
misses nothing. Ticks carry no id and are not kept: a slow reader skips to the newest.

    id: <logbook sequence>    event: <kind>    data: <Event as JSON>
                              event: tick      data: <Tick as JSON>
                              event: beat      data: <seconds since 1970 UTC>
                              event: reset     data: the logbook starts over; load everything again
"""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import logging
import sys
import threading
from collections import Counter, deque
from dataclasses import dataclass, field

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from homeostat.clock import Clock
from homeostat.errors import HomeostatError
from homeostat.logbook.rows import Event
from homeostat.operate.views import Console

log = logging.getLogger(__name__)

RING_EVENTS_MAX = 1000
PAGE_EVENTS = 200
PUMP_SECONDS = 0.5  # bounds how long the pump may outlive its last stream
RETRY_SECONDS = 1.0  # after the operator could not be asked
BEAT_SECONDS = 5.0  # the page calls itself cut off after three missed beats
SEND_SECONDS_MAX = 10.0
RECONNECT_MS = 1000  # what browsers are told to wait before they come back


@dataclass(slots=True)
class Position:
    """Where a stream is: the last event that it passed, and the last tick of each database."""

    sequence: int
    ticks: dict[str, int] = field(default_factory=dict)


class Pump:
    """Fans out what the operator commits to any number of streams."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.streams = 0
        self.by_visitor: Counter[str] = Counter()
        self._ring: deque[Event] = deque(maxlen=RING_EVENTS_MAX)
        self._ring_after = sys.maxsize  # the ring holds every event past this one
        self._ticks: dict[str, tuple[int, bytes]] = {}  # database -> number, message
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()
        self._awake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    # -- in the event loop

    def start(self) -> None:
        """Start the thread; it sleeps until there is a stream."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="web-pump", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End every stream and the thread; from any thread, and at once."""
        self._stopping.set()
        self._awake.set()
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: there is no stream left
                self._loop.call_soon_threadsafe(self._wake_streams)

    async def join(self) -> None:
        """Wait until the pump no longer asks the operator."""
        if self._thread is not None:
            await run_in_threadpool(self._thread.join, 2 * PUMP_SECONDS)

    def enter(self, visitor: str) -> None:
        """Count a stream in."""
        self.streams += 1
        self.by_visitor[visitor] += 1
        self._awake.set()

    def leave(self, visitor: str) -> None:
        """Count a stream out."""
        self.streams -= 1
        self.by_visitor[visitor] -= 1
        self.by_visitor += Counter()  # forgets who has none left
        if not self.streams and not self.stopping:
            self._awake.clear()

    @property
    def stopping(self) -> bool:
        """Whether streams have to end."""
        return self._stopping.is_set()

    @property
    def news(self) -> asyncio.Event:
        """What is set at the next news; take it before looking, so that none is missed."""
        return self._news

    def events_after(self, sequence: int) -> list[Event] | None:
        """Return the next page of events, or None when only the logbook still has them."""
        if sequence < self._ring_after:
            return None
        ring = self._ring
        first = bisect.bisect_right(ring, sequence, key=lambda event: event.sequence)
        return [ring[i] for i in range(first, min(len(ring), first + PAGE_EVENTS))]

    def ticks_after(self, seen: dict[str, int], database: str | None) -> list[bytes]:
        """Return the newest tick of each database that was not seen, and note it as seen."""
        fresh = []
        for key, (number, message) in self._ticks.items():
            if database in {None, key} and seen.get(key) != number:
                seen[key] = number
                fresh.append(message)
        return fresh

    def _wake_streams(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _take(self, events: list[Event], after: int, ticks: dict[str, tuple[int, bytes]]) -> None:
        if self._ring_after != after and not self._ring:
            self._ring_after = after
        for event in events:
            if len(self._ring) == RING_EVENTS_MAX:
                self._ring_after = self._ring[0].sequence
            self._ring.append(event)
        self._ticks = ticks or self._ticks
        self._wake_streams()

    # -- in the thread

    def _run(self) -> None:
        position, ticks = -1, -1
        while not self.stopping:
            self._awake.wait()
            try:
                position, ticks = self._step(position, ticks)
            except HomeostatError as error:
                log.warning("the event streams have no news: %s", error)
                self._stopping.wait(RETRY_SECONDS)
            except Exception:
                log.exception("the event streams have no news")
                self._stopping.wait(RETRY_SECONDS)

    def _step(self, position: int, ticks: int) -> tuple[int, int]:
        if position < 0:  # the first stream: the ring begins at the logbook's end
            position, _ = self.console.wait_for_change(-1, -1, 0.0)
            self._hand_over([], position, {})
        newest, now_ticks = self.console.wait_for_change(position, ticks, PUMP_SECONDS)
        messages = self._read_ticks(now_ticks) if now_ticks != ticks else {}
        while newest > position:
            events = self.console.events(position, limit=PAGE_EVENTS)
            if not events:
                break
            self._hand_over(events, position, {})
            position = events[-1].sequence
        if messages:
            self._hand_over([], position, messages)
        return position, now_ticks

    def _read_ticks(self, number: int) -> dict[str, tuple[int, bytes]]:
        messages = {}
        for database in self.console.status().databases:
            with contextlib.suppress(HomeostatError):  # detached meanwhile, or not asked yet
                tick = self.console.tick(database.key)
                messages[database.key] = (number, message(tick, event="tick"))
        return messages

    def _hand_over(
        self, events: list[Event], after: int, ticks: dict[str, tuple[int, bytes]]
    ) -> None:
        loop = self._loop
        if loop is not None and not self.stopping:
            with contextlib.suppress(RuntimeError):  # the loop closed just now
                loop.call_soon_threadsafe(self._take, events, after, ticks)


def message(data: object, *, event: str, number: int | None = None) -> bytes:
    """Return one server-sent message."""
    head = f"id: {number}\n" if number is not None else ""
    return f"{head}event: {event}\ndata: ".encode() + msgspec.json.encode(data) + b"\n\n"


class EventStream(Response):
    """One open stream; ends with the client, with the server, or when nothing can be sent."""

    media_type = "text/event-stream"

    def __init__(
        self,
        pump: Pump,
        *,
        clock: Clock,
        after: int | None,
        database: str | None,
        visitor: str = "",
    ) -> None:
        """Prepare a stream.

        Args:
            pump: where news come from.
            clock: stamps the beats.
            after: the last event that the client has; None: only what comes from now on.
            database: only this database's events and ticks, and those of none; None: all.
            visitor: whose stream it is, to count them.
        """
        self.pump = pump
        self.clock = clock
        self.after = after
        self.database = database
        self.visitor = visitor
        self.background = None
        self.body = b""
        self.status_code = 200
        self.init_headers({"x-accel-buffering": "no"})
        del self.headers["content-length"]

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send until it ends."""
        self.pump.enter(self.visitor)  # before anything is awaited: the limits count it
        gone = asyncio.ensure_future(_until_gone(receive))
        writing = asyncio.ensure_future(self._write(send))
        try:
            await asyncio.wait({gone, writing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.pump.leave(self.visitor)
            for task in (gone, writing):
                task.cancel()
            results = await asyncio.gather(gone, writing, return_exceptions=True)
        failure = results[1]
        if isinstance(failure, Exception) and not isinstance(failure, TimeoutError | OSError):
            log.error("an event stream ended by an error", exc_info=failure)

    async def _write(self, send: Send) -> None:
        start = {"type": "http.response.start", "status": self.status_code}
        await send({**start, "headers": self.raw_headers})
        console = self.pump.console
        newest, _ = await run_in_threadpool(console.wait_for_change, -1, -1, 0.0)
        first = f"retry: {RECONNECT_MS}\n: homeostat\n\n".encode()
        position = Position(newest if self.after is None else self.after)
        if position.sequence > newest:  # the client knows another, longer logbook
            position.sequence = newest
            first += message(newest, event="reset", number=newest)
        await self._send(send, first)
        while not self.pump.stopping:
            news = self.pump.news
            if not await self._send_news(send, position) and not self.pump.stopping:
                await self._idle(send, news, position)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _idle(self, send: Send, news: asyncio.Event, position: Position) -> None:
        try:
            await asyncio.wait_for(news.wait(), BEAT_SECONDS)
        except TimeoutError:
            # the id moves on past events of other databases, so that a resumed stream skips them
            now = round(self.clock.now(), 3)
            await self._send(send, message(now, event="beat", number=position.sequence))

    async def _send_news(self, send: Send, position: Position) -> bool:
        """Send what is new; return whether there was anything."""
        events = self.pump.events_after(position.sequence)
        if events is None:
            console = self.pump.console
            events = await run_in_threadpool(console.events, position.sequence, limit=PAGE_EVENTS)
        out = [
            message(event, event=event.kind, number=event.sequence)
            for event in events
            if self.database is None or event.database in {"", self.database}
        ]
        if len(events) < PAGE_EVENTS:  # near enough to now for a tick to mean something
            out += self.pump.ticks_after(position.ticks, self.database)
        if out:
            await self._send(send, b"".join(out))
        if events:
            position.sequence = events[-1].sequence
        return bool(out or events)

    async def _send(self, send: Send, body: bytes) -> None:
        """Send, or fail when the reader takes nothing for too long."""
        sending = send({"type": "http.response.body", "body": body, "more_body": True})
        await asyncio.wait_for(sending, SEND_SECONDS_MAX)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
