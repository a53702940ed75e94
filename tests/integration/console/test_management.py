"""The management API is optional: if anything is wrong with it, the answer is "unknown"."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from runtime.broker import Administration
from runtime.broker.inspection import inspect
from runtime.broker.management import empty_virtual_host, queue_statistics, virtual_host
from runtime.devserver import Endpoints
from schemas.errors import BrokerUnavailable
from schemas.topology import QUEUES, RESYNC
from tests.support.waiting import wait_until

ANSWERS = [b"", b"<html>proxy</html>", b"[1]", b"{}", b'{"items": 7}', b'{"items": [{}]}', b"null"]


@pytest.fixture(params=ANSWERS)
def strange_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """A server that is not RabbitMQ and answers with `body`."""
    body: bytes = request.param

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_strange_answer_is_unknown(strange_server: str) -> None:
    assert not queue_statistics(strange_server, "amqp://h/")


def test_user_and_password_go_nowhere_else() -> None:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(302)
            self.send_header("Location", f"http://127.0.0.1:{server.server_address[1]}/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://user:secret@127.0.0.1:{server.server_address[1]}"
        with pytest.raises(BrokerUnavailable, match="HTTP status 302"):
            inspect(url, "amqp://h/")
        server.shutdown()
        thread.join()
    assert len(asked) == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nonsense", "file:///etc/passwd", "http://"])
def test_no_answer_is_unknown(url: str) -> None:
    assert queue_statistics(url, "amqp://h/") is None
    with pytest.raises(BrokerUnavailable, match="cannot be deleted"):
        empty_virtual_host(url, "amqp://h/")


@pytest.mark.parametrize(
    ("url", "vhost"),
    [("amqp://h", "/"), ("amqp://h/", "/"), ("amqp://h/%2F", "/"), ("amqp://h/a%2Fb", "a/b")],
)
def test_the_virtual_host_is_the_urls(url: str, vhost: str) -> None:
    assert virtual_host(url) == vhost


def test_it_tells_what_is_unacked(endpoints: Endpoints, amqp_url: str) -> None:
    from runtime.broker import persistent

    url = endpoints.management_url
    with Administration(amqp_url, name="test") as admin:
        admin.declare(QUEUES)
        admin.publish(routing_key=RESYNC, body=b"x", properties=persistent())
        assert admin.take(RESYNC) is not None

        def unacked() -> bool:
            found = queue_statistics(url, amqp_url)
            return bool(found and RESYNC in found and found[RESYNC].unacked == 1)

        wait_until(unacked, timeout=60, what="the unacked message in the statistics")
    empty_virtual_host(url, amqp_url)
    with Administration(amqp_url, name="test") as admin:
        assert admin.depth(RESYNC) is None
