"""Events reach a page in order, once each, whatever happens to the connection."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from homeostat.clock import ManualClock
from homeostat.config import WebConfig
from homeostat.web import stream as module
from tests.patience import joined
from tests.web import scenes
from tests.web.fake import FakeConsole
from tests.web.site import Site, Stream, running_site, until


@pytest.fixture
def console(clock: ManualClock) -> FakeConsole:
    return FakeConsole(clock.now)


@pytest.fixture
def site(console: FakeConsole, clock: ManualClock, tmp_path: Path) -> Iterator[Site]:
    """Run a server whose streams no other test has seen."""
    with running_site(console, tmp_path, clock=clock) as running:
        yield running


def put(console: FakeConsole, count: int, **data: str) -> None:
    for _ in range(count):
        console.put_event("finding", {"what": "x", **data})


def ids(stream: Stream, count: int) -> list[int]:
    return [int(message.id) for message in stream.take(count)]


def test_events_come_as_they_are_committed(site: Site, console: FakeConsole) -> None:
    stream = Stream(site, "/api/v1/events?after=0")
    console.put_finding(scenes.finding(console))
    message = stream.take(1)[0]
    assert message.id == "1"
    assert message.data["kind"] == "finding"
    assert message.data["data"]["what"].startswith("shop: the pool")
    stream.close()


def test_a_new_stream_begins_now(site: Site, console: FakeConsole) -> None:
    put(console, 5)
    console.put_tick(scenes.tick(console))
    stream = Stream(site)
    stream.take(1, event="tick")  # it is at the end of the log
    put(console, 1)
    assert ids(stream, 1) == [6]
    stream.close()


def test_a_stream_resumes_after_the_last_event_it_had(site: Site, console: FakeConsole) -> None:
    put(console, 3)
    first = Stream(site, "/api/v1/events?after=0")
    assert ids(first, 3) == [1, 2, 3]
    first.close()
    put(console, 4)
    second = Stream(site, "/api/v1/events?after=0", last="3")  # the header counts, as in browsers
    assert ids(second, 4) == [4, 5, 6, 7]
    second.close()


def test_a_long_gap_is_filled_page_by_page_and_meets_the_present(
    site: Site, console: FakeConsole
) -> None:
    count = module.RING_EVENTS_MAX + 3 * module.PAGE_EVENTS + 7
    put(console, count)
    stream = Stream(site, "/api/v1/events?after=0")
    late = threading.Thread(target=put, args=(console, 50))
    late.start()
    assert ids(stream, count + 50) == list(range(1, count + 51))
    joined(late)
    stream.close()


def test_cut_anywhere_and_resumed_nothing_is_lost_or_doubled(
    site: Site, console: FakeConsole
) -> None:
    stopping = threading.Event()
    total = 300

    def commit() -> None:
        for _ in range(total):
            put(console, 1)
            if stopping.wait(0.001):
                return

    writer = threading.Thread(target=commit)
    writer.start()
    seen: list[int] = []
    try:
        for take in itertools.cycle([1, 7, 23, 2]):
            stream = Stream(site, "/api/v1/events?after=0", last=str(seen[-1]) if seen else "")
            seen += ids(stream, min(take, total - len(seen)))
            stream.close()
            if len(seen) >= total:
                break
    finally:
        stopping.set()
        joined(writer)
    assert seen == list(range(1, total + 1))


def test_a_stream_of_one_database_leaves_out_the_others(site: Site, console: FakeConsole) -> None:
    stream = Stream(site, "/api/v1/events?after=0&database=mine")
    for database in ("mine", "other", "", "other", "mine"):
        console.put_event("finding", {"of": database}, database=database)
    assert ids(stream, 3) == [1, 3, 5]
    stream.close()


def test_ticks_are_sent_without_an_id(site: Site, console: FakeConsole) -> None:
    stream = Stream(site)
    console.put_tick(scenes.tick(console, p99=77.0))
    message = stream.take(1, event="tick")[0]
    assert (message.id, message.data["p99_ms"]) == ("", 77.0)
    console.put_tick(scenes.tick(console, p99=78.0))
    assert stream.take(1, event="tick")[0].data["p99_ms"] == 78.0
    stream.close()


def test_an_id_from_another_logbook_starts_over(site: Site, console: FakeConsole) -> None:
    put(console, 2)
    stream = Stream(site, last="900")
    assert stream.take(1, event="reset")[0].id == "2"
    put(console, 1)
    assert ids(stream, 1) == [3]
    stream.close()


def test_a_quiet_stream_shows_that_it_lives(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.05)
    stream = Stream(site)
    assert len(stream.take(3, event="beat")) == 3
    stream.close()


def test_there_are_only_so_many_streams(
    console: FakeConsole, clock: ManualClock, tmp_path: Path
) -> None:
    with running_site(console, tmp_path, clock=clock, config=WebConfig(streams_max=2)) as site:
        pump = site.pump
        streams = [Stream(site), Stream(site)]
        until(lambda: pump.streams == 2)
        refused = site.program("GET", "/api/v1/events")
        assert (refused.status, refused.json()["kind"]) == (429, "TooManyStreamsError")
        streams.pop().close()
        until(lambda: pump.streams == 1)
        again = Stream(site)
        assert again.status == 200
        again.close()
        streams.pop().close()


def test_one_visitor_cannot_take_all_streams(
    console: FakeConsole, clock: ManualClock, tmp_path: Path
) -> None:
    config = WebConfig(streams_max=8, streams_per_visitor_max=2)
    with running_site(console, tmp_path, clock=clock, config=config) as site:
        streams = [Stream(site), Stream(site)]
        until(lambda: site.pump.streams == 2)
        refused = site.program("GET", "/api/v1/events")
        assert (refused.status, refused.headers["retry-after"]) == (429, "1")
        assert "Close some pages" in refused.json()["error"]
        cookie = site.sign_in()
        head = site.request("HEAD", "/api/v1/events", headers={"cookie": cookie})
        assert head.status == 200  # others are not kept out
        streams.pop().close()
        until(lambda: site.pump.streams == 1)
        assert site.program("HEAD", "/api/v1/events").status == 200
        streams.pop().close()


def test_nobody_listening_costs_the_operator_nothing(site: Site, console: FakeConsole) -> None:
    stream = Stream(site, "/api/v1/events?after=0")
    put(console, 1)
    assert ids(stream, 1) == [1]
    stream.close()
    until(lambda: site.pump.streams == 0)
    time.sleep(2 * module.PUMP_SECONDS)  # the pump's last look
    reads = console.reads
    put(console, 3)
    time.sleep(2 * module.PUMP_SECONDS)
    assert console.reads == reads


def test_a_reader_that_takes_nothing_is_dropped_and_comes_back_without_loss(
    site: Site, console: FakeConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SEND_SECONDS_MAX", 0.3)
    slow = Stream(site, "/api/v1/events?after=0")
    until(lambda: site.pump.streams == 1)
    put(console, 400, filler="y" * 50_000)  # 20 MB, more than the sockets hold
    until(lambda: site.pump.streams == 0)
    assert len(site.pump._ring) <= module.RING_EVENTS_MAX
    got = [int(message.id) for message in slow.messages()]  # what was on the way
    slow.close()
    again = Stream(site, "/api/v1/events", last=str(got[-1]) if got else "0")
    got += ids(again, 400 - len(got))
    again.close()
    assert got == list(range(1, 401))


def test_streams_survive_an_operator_that_cannot_answer_for_a_while(
    site: Site, console: FakeConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.05)
    stream = Stream(site, "/api/v1/events?after=0")
    put(console, 1)
    assert ids(stream, 1) == [1]
    console.failure = RuntimeError("for a moment")
    console.put_tick(scenes.tick(console, p99=1.0))
    console.put_event("finding", {})
    console.failure = None
    assert ids(stream, 1) == [2]
    stream.close()
