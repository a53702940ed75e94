"""Readings that cost a bounded share of the time, and live parts without servers."""

import asyncio
import threading
from collections.abc import Mapping
from concurrent.futures import wait

import pytest
import structlog
from structlog.testing import capture_logs

from runtime.settings import load_settings
from schemas.errors import BrokerUnavailable, DatabaseUnavailable
from web.live import Live
from web.readers import Readers
from web.reading import Reading
from web.watching import Look, Watching

HANGS = DatabaseUnavailable("it hangs")
AWAY = "postgresql://nobody:nothing@127.0.0.1:1/nothing"


def hanging(answers: list[int], go_on: threading.Event) -> Reading[int]:
    """Reads the first answer at once, and the others when it may go on."""
    first = answers[0]

    def read() -> int:
        answer = answers.pop(0)
        assert answer == first or go_on.wait(60)
        return answer

    return Reading(read, HANGS)


def test_what_took_long_is_not_read_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("web.reading.monotonic", lambda: clock[0])

    def read() -> float:
        clock[0] += 0.5
        return clock[0]

    reading = Reading(read, HANGS)
    reading.refresh()
    clock[0] = 10.0
    reading.refresh()
    assert reading.value == 0.5
    clock[0] = 10.6
    reading.refresh()
    assert reading.value == 11.1


def test_a_trouble_takes_the_place_of_the_value_until_it_ends() -> None:
    answers: list[int | Exception] = [BrokerUnavailable("away"), 7]

    def read() -> int:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    reading = Reading(read, HANGS)
    reading.refresh()
    assert (reading.value, str(reading.trouble)) == (None, "away")
    reading.refresh()
    assert (reading.value, reading.trouble) == (7, None)


def test_a_server_that_hangs_delays_nothing_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, go_on, answers = [0.0], threading.Event(), [6, 7]
    monkeypatch.setattr("web.reading.monotonic", lambda: clock[0])
    monkeypatch.setattr("web.reading._WAIT", 0.01)

    reading = hanging(answers, go_on)
    reading.refresh()
    # The value before stands for some seconds.
    reading.refresh()
    assert (reading.value, reading.trouble, reading.busy) == (6, None, True)
    clock[0] = 11.0
    reading.refresh()
    assert (reading.value, reading.trouble) == (None, HANGS)
    go_on.set()
    assert reading._running is not None
    wait([reading._running], 60)
    # It has ended, although its value was not taken yet.
    assert not reading.busy
    monkeypatch.setattr("web.reading._WAIT", 60)
    reading.refresh()
    assert (reading.value, reading.trouble, reading.busy) == (7, None, False)


def test_what_was_forgotten_is_read_again_at_once() -> None:
    answers = [6, 7]
    reading = Reading(lambda: answers.pop(0), HANGS)
    reading.refresh()
    reading.forget()
    reading.refresh()
    assert reading.value == 7


def test_a_reading_that_was_forgotten_while_it_went_on_is_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    go_on, answers = threading.Event(), [6, 7, 8]
    monkeypatch.setattr("web.reading._SHARE", float("inf"))
    monkeypatch.setattr("web.reading._WAIT", 0.01)

    reading = hanging(answers, go_on)
    reading.refresh()
    reading.refresh()
    assert (reading.value, reading.busy) == (6, True)
    reading.forget()
    go_on.set()
    reading.refresh()
    assert (reading.value, reading.trouble) == (8, None)


def test_a_defect_is_raised_where_it_is_logged() -> None:
    def read() -> int:
        raise ZeroDivisionError

    reading = Reading(read, HANGS)
    with pytest.raises(ZeroDivisionError):
        reading.refresh()
    assert not reading.busy


def _away() -> Watching:
    settings = load_settings(database_url=AWAY, amqp_url="amqp://guest:guest@127.0.0.1:1/")
    return Watching(settings, Readers(AWAY, sessions=1, timeout=1000), threading.Lock())


def test_a_site_whose_servers_are_away_is_looked_at_all_the_same() -> None:
    watching = _away()
    try:
        look = watching.look()
    finally:
        watching.close()
    assert [one.name for one in look.findings] == ["database away", "broker away"]
    assert set(look.noticed) == {"database away", "broker away"}


def test_a_page_has_a_look_whose_live_parts_cannot_be_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Another test of this process may have used the module's logger, which is then kept.
    monkeypatch.setattr("web.watching._log", structlog.get_logger())

    def draw(_look: Look) -> None:
        raise ZeroDivisionError

    watching = _away()
    watching.tell(draw)
    with capture_logs() as logged:
        try:
            assert watching.look().findings
        finally:
            watching.close()
        assert watching._thread is not None
        watching._thread.join(60)
    assert {line["event"] for line in logged} == {"web.live_failed"}


def test_after_the_end_nothing_is_looked_at() -> None:
    watching = _away()
    watching.close()
    with pytest.raises(DatabaseUnavailable, match="reload"):
        watching.look()


def test_what_was_seen_before_a_pause_is_not_shown_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("web.watching.INTERVAL", 0.05)
    watching = _away()
    try:
        before = watching.look()
        with watching._changed:
            # Nobody asks for some time.
            watching._asked_at = float("-inf")
            assert watching._changed.wait_for(lambda: watching._newest is None, 60)
        after = watching.look()
    finally:
        watching.close()
    assert after.status.at > before.status.at
    assert len(after.flows) == 1


def test_an_old_look_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    watching = _away()
    watching.look()
    watching.close()
    monkeypatch.setattr("web.watching._TOO_OLD", -1.0)
    with pytest.raises(DatabaseUnavailable, match="reload"):
        watching.look()


def test_a_stream_skips_drawings_that_it_was_too_slow_for_and_parts_that_did_not_change() -> None:
    async def watch() -> list[bytes]:
        live, seen = Live(_away(), lambda _look: {}), []
        with live.stream() as events:
            assert await anext(events) == b"retry: 3000\n\n"
            drawings: tuple[Mapping[str, str], ...] = (
                {"a": "1", "b": "1"},
                {"a": "2", "b": "1"},
                {"a": "3\n4", "b": "1"},
            )
            for drawing in drawings:
                live._take(drawing)
            seen += [await anext(events), await anext(events)]
            live._take({"a": "5", "b": "1"})
            seen.append(await anext(events))
            live.end()
            seen += [event async for event in events]
        live._watching.close()
        return seen

    assert asyncio.run(watch()) == [
        b"event: a\ndata: 3\ndata: 4\n\n",
        b"event: b\ndata: 1\n\n",
        b"event: a\ndata: 5\n\n",
    ]


def test_a_silent_stream_has_a_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.live._HEARTBEAT", 0.01)

    async def watch() -> bytes:
        live = Live(_away(), lambda _look: {})
        with live.stream() as events:
            await anext(events)
            comment = await anext(events)
        live._watching.close()
        return comment

    assert asyncio.run(watch()).startswith(b":")


def test_no_stream_is_taken_after_the_end() -> None:
    live = Live(_away(), lambda _look: {})
    before = live.full
    live.end()
    assert (before, live.full) == (False, True)


def test_drawing_is_for_looks_that_somebody_sees() -> None:
    drawn: list[Look] = []
    watching = _away()

    def draw(look: Look) -> Mapping[str, str]:
        drawn.append(look)
        return {}

    Live(watching, draw)
    try:
        watching.look()
    finally:
        watching.close()
    assert drawn == []
