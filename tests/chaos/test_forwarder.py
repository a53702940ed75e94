"""The forwarder that breaks connections."""

import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.chaos.forwarder import Forwarder
from tests.support.waiting import wait_until


@pytest.fixture
def echo() -> Iterator[str]:
    """A server that sends back what it receives."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    line, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(line,), daemon=True).start()

        def answer(line: socket.socket) -> None:
            with line:
                try:
                    while piece := line.recv(4096):
                        line.sendall(piece)
                except OSError:
                    # The tests cut connections.
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"tcp://somebody:secret@127.0.0.1:{server.getsockname()[1]}/vhost"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.fixture
def line(echo: str) -> Iterator[Forwarder]:
    with Forwarder(echo) as found:
        yield found


def called(line: Forwarder) -> socket.socket:
    parts = urlsplit(line.url)
    return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10)


def said(client: socket.socket, size: int) -> bytes:
    heard = b""
    while len(heard) < size:
        piece = client.recv(size - len(heard))
        if not piece:
            break
        heard += piece
    return heard


def test_what_is_said_is_heard(line: Forwarder) -> None:
    with called(line) as client:
        client.sendall(b"hello")

        assert said(client, 5) == b"hello"


def test_account_and_path_of_the_url_stay(line: Forwarder, echo: str) -> None:
    ours, theirs = urlsplit(line.url), urlsplit(echo)

    assert (ours.username, ours.password, ours.path) == ("somebody", "secret", "/vhost")
    assert ours.port != theirs.port


def test_a_cut_line_is_reset_and_a_new_one_works(line: Forwarder) -> None:
    with called(line) as client:
        client.sendall(b"hello")
        assert said(client, 5) == b"hello"
        line.cut()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    with called(line) as client:
        client.sendall(b"again")
        assert said(client, 5) == b"again"


def test_a_torn_line_lets_some_bytes_pass(line: Forwarder) -> None:
    line.tear(3)
    with called(line) as client:
        client.sendall(b"hello")
        # Three bytes reach the server at most, and it sends no more back.
        with pytest.raises(ConnectionResetError):
            said(client, 4)
    assert line.torn


def test_a_stalled_line_goes_on_where_it_was(line: Forwarder) -> None:
    with called(line) as client:
        line.stall()
        client.sendall(b"hello")
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.recv(1)
        line.resume()
        client.settimeout(10)

        assert said(client, 5) == b"hello"


def test_a_line_that_is_hung_up_is_hung_up_at_both_ends(line: Forwarder) -> None:
    with called(line):
        wait_until(lambda: line.connections == 1, what="the connection")
    wait_until(lambda: line.connections == 0, what="its end")
