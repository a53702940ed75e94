"""Streams of live pages: how many, how slow, and how they end."""

import re
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, closing
from itertools import islice
from urllib.parse import urlsplit

import pytest

from tests.support.streams import streaming
from tests.support.viewers import Viewer
from tests.support.waiting import wait_until
from web.live import MOST
from web.parts import PARTS

pytestmark = pytest.mark.timeout(120)


def test_a_stream_begins_with_every_part_and_pages_name_their_parts(empty_viewer: Viewer) -> None:
    named: set[str] = set()
    for path in ("/", "/pipeline"):
        named |= set(re.findall(r'data-live="([^"]+)"', empty_viewer.get(path).text))
    assert named == set(PARTS)
    with streaming(empty_viewer) as stream:
        assert stream.status == 200
        seen = set()
        for name, html in stream.events():
            assert html.strip()
            seen.add(name)
            if seen == named:
                break


def test_streams_are_bounded_and_a_place_is_free_again_when_one_ends(empty_viewer: Viewer) -> None:
    with ExitStack() as streams:
        first = streams.enter_context(ExitStack())
        first.enter_context(streaming(empty_viewer))
        for _ in range(MOST - 1):
            assert streams.enter_context(streaming(empty_viewer)).status == 200
        refused = empty_viewer.get("/live")
        assert refused.status == 503
        assert f"{MOST} live pages are open" in refused.text
        # Pages are answered as before.
        assert empty_viewer.get("/").status == 200
        first.close()
        wait_until(lambda: _opens(empty_viewer), what="a place")


def test_a_browser_that_reads_nothing_holds_up_no_other(empty_viewer: Viewer) -> None:
    with ExitStack() as lazy:
        # Streams that another test has closed may keep their places for a moment.
        for _ in range(10):
            one = wait_until(lambda: _unread(empty_viewer), what="a place")
            assert one is not None
            lazy.enter_context(closing(one))
        wait_until(lambda: _opens(empty_viewer), what="a place")
        with streaming(empty_viewer) as stream:
            first = [name for name, _ in islice(stream.events(), len(PARTS))]
        assert set(first) == set(PARTS)
        assert empty_viewer.get("/").status == 200


def test_sigterm_ends_the_viewer_and_its_streams(environment: dict[str, str]) -> None:
    words = [sys.executable, "-m", "statesys", "web", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            found = re.search(r"http://[\d.:]+/", process.stderr.readline())
            assert found is not None
            with ExitStack() as open_streams:
                streams = [
                    open_streams.enter_context(streaming(Viewer(found[0]))) for _ in range(20)
                ]
                assert next(streams[0].events())
                process.send_signal(signal.SIGTERM)
                # The end of each stream is an orderly one: http.client raises otherwise.
                for stream in streams:
                    for _ in stream.events():
                        pass
                _, said = process.communicate(timeout=60)
        finally:
            # A failed test must not wait for it.
            process.kill()
    assert "Traceback" not in said, said
    assert process.returncode == 0


def _unread(viewer: Viewer) -> socket.socket | None:
    """A stream of which only the status is read; None if it is refused."""
    where = urlsplit(viewer.url)
    one = socket.create_connection((where.hostname, where.port))
    one.sendall(b"GET /live HTTP/1.1\r\nHost: " + where.netloc.encode() + b"\r\n\r\n")
    if one.recv(12) == b"HTTP/1.1 200":
        return one
    one.close()
    return None


def _opens(viewer: Viewer) -> bool:
    with streaming(viewer) as stream:
        return stream.status == 200
