"""Clients that are slow, or send too much, hold nobody up."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import partial

import pytest

from tests.support.guarded import Guarded, basic, guarded, make_users
from tests.support.waiting import wait_until
from web.access.bodies import LARGEST_BODY
from web.access.connections import MOST_CONNECTIONS

#: Seconds; the viewer closes after 15.
_PATIENCE = 40


@pytest.fixture(scope="module")
def viewer(
    empty_site: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guarded]:
    directory = tmp_path_factory.mktemp("slow")
    with guarded(empty_site, "--users", make_users(directory / "users")) as found:
        found.headers = {"Authorization": basic("vera")}
        yield found


def connected(viewer: Guarded) -> socket.socket:
    return socket.create_connection(viewer.address, timeout=_PATIENCE)


def read_page(connection: socket.socket) -> bytes:
    """Read up to the end of a page."""
    found = b""
    while b"</html>" not in found:
        piece = connection.recv(65536)
        assert piece, found
        found += piece
    return found


def ended(connection: socket.socket) -> bool:
    """Whether the viewer has closed it."""
    connection.settimeout(0.01)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def drip(connection: socket.socket) -> bool:
    """Send one more byte; whether the connection is closed."""
    try:
        connection.sendall(b"x")
    except ConnectionError:
        return True
    return ended(connection)


#: Beginnings after which nothing comes, or a byte at a time: silence, a head, a second head.
BEGINNINGS = (
    b"",
    b"GET /clients HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
    b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\nGET /clients HTTP/1.1\r\nX-Slow: ",
)


def test_heads_that_come_byte_by_byte_are_given_up(viewer: Guarded) -> None:
    with ExitStack() as stack:
        # All at once: each is given up after 15 s.
        slow = {first: stack.enter_context(connected(viewer)) for first in BEGINNINGS}
        for first, connection in slow.items():
            connection.sendall(first)
            if first.count(b"GET") > 1:
                read_page(connection)
        assert viewer.get("/clients").status == 200
        for first, connection in slow.items():
            given_up = partial(drip if first else ended, connection)
            wait_until(given_up, timeout=_PATIENCE, what=f"the viewer to give up {first!r}")
    assert viewer.get("/clients").status == 200


def test_a_body_that_comes_slowly_is_given_up(viewer: Guarded) -> None:
    with connected(viewer) as slow:
        login = basic("otto")
        slow.sendall(
            b"POST /actions/resync HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
            b"Authorization: " + login.encode() + b"\r\n\r\nclient="
        )
        assert viewer.get("/clients").status == 200
        slow.settimeout(_PATIENCE)
        assert slow.recv(65536).startswith(b"HTTP/1.1 408 ")


def test_a_body_that_goes_on_after_the_answer_is_given_up(viewer: Guarded) -> None:
    with connected(viewer) as slow:
        slow.sendall(
            b"POST /actions/resync HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000\r\n\r\n"
        )
        assert read_page(slow).startswith(b"HTTP/1.1 401 ")
        wait_until(lambda: drip(slow), timeout=_PATIENCE, what="the viewer to give up")


def test_clients_that_only_hold_connections_keep_nobody_out(viewer: Guarded) -> None:
    with ExitStack() as stack:
        held = [stack.enter_context(connected(viewer)) for _ in range(MOST_CONNECTIONS + 50)]
        for connection in held[::2]:
            # Some have made room already.
            with suppress(ConnectionError):
                connection.sendall(b"GET /clients HTTP/1.1\r\n")
        assert viewer.get("/clients").status == 200
        wait_until(lambda: sum(map(ended, held[:60])) >= 50, timeout=_PATIENCE, what="room")


@pytest.mark.parametrize("declared", [True, False])
def test_a_huge_body_is_refused(viewer: Guarded, declared: bool) -> None:
    size = LARGEST_BODY + 1
    with connected(viewer) as large:
        head = b"Content-Length: %d\r\n" % (1 << 40) if declared else b"Transfer-Encoding: chunked"
        large.sendall(
            b"POST /actions/resync HTTP/1.1\r\nHost: localhost\r\nAuthorization: "
            + basic("otto").encode()
            + b"\r\n"
            + head.strip()
            + b"\r\n\r\n"
        )
        if not declared:
            large.sendall(b"%x\r\n" % size + b"x" * size + b"\r\n")
        assert large.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_huge_head_is_refused(viewer: Guarded) -> None:
    with connected(viewer) as large:
        try:
            large.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Large: " + b"x" * (1 << 20))
            assert large.recv(65536).startswith(b"HTTP/1.1 400 ")
        except ConnectionError:
            # It was closed before all of it was sent.
            pass
    assert viewer.get("/clients").status == 200


def test_a_client_that_does_not_log_in_cannot_send_a_body(viewer: Guarded) -> None:
    answer = viewer.ask("POST", "/actions/resync", b"x" * LARGEST_BODY, Authorization=None)
    assert answer.status == 401
