"""One of several hosts is enough: dead, silent and refusing ones are passed over."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from urllib.parse import urlsplit

import pytest

from runtime.broker import Administration, Session, connecting
from runtime.broker.inspection import inspect
from runtime.broker.management import queue_statistics
from runtime.devserver import Endpoints
from schemas.errors import BrokerUnavailable
from schemas.topology import QUEUES
from tests.chaos.forwarder import Forwarder
from tests.integration.runtime.test_broker_connecting import closed_port
from tests.support.waiting import wait_until

BOTH = pytest.mark.parametrize("connect", [Session, Administration])
Connect = type[Session | Administration]


def among(url: str, *others: str) -> str:
    """The URL with its own host and others."""
    parts = urlsplit(url)
    account, _, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{account}@{','.join([*others, host])}").geturl()


def host_of(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


@pytest.fixture
def silent() -> Iterator[str]:
    """A host that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short time for each host, so that tests need not wait the whole of it."""
    monkeypatch.setattr(connecting, "CONNECT_TIMEOUT", 1)


@pytest.fixture
def first_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hosts are tried in the order of the URL."""
    monkeypatch.setattr(connecting, "in_random_order", list)


@BOTH
def test_one_living_host_is_enough(amqp_url: str, connect: Connect) -> None:
    dead = [f"127.0.0.1:{closed_port()}" for _ in range(2)]
    for url in (among(amqp_url, *dead), among(amqp_url, f"[::1]:{closed_port()}")):
        for _ in range(8):
            with closing(connect(url, name="test")):
                pass


@BOTH
@pytest.mark.usefixtures("hasty", "first_first")
def test_a_silent_host_is_left_for_the_next(amqp_url: str, silent: str, connect: Connect) -> None:
    with closing(connect(among(amqp_url, silent), name="test")) as found:
        if isinstance(found, Session):
            assert found.where == host_of(amqp_url)


@BOTH
@pytest.mark.usefixtures("hasty")
def test_the_error_names_each_host_and_its_reason_in_the_order_of_the_url(
    amqp_url: str, endpoints: Endpoints, silent: str, connect: Connect
) -> None:
    dead, other = f"127.0.0.1:{closed_port()}", host_of(endpoints.database_url)
    living, secret = host_of(amqp_url), str(urlsplit(amqp_url).password)
    wrong = among(amqp_url.replace(secret, f"wrong{secret}"), dead, silent, other)
    with pytest.raises(BrokerUnavailable) as error:
        connect(wrong, name="test")
    text = str(error.value)
    assert text.startswith(
        f"no host of STATESYS_AMQP_URL accepts a connection: {dead}: connection refused; "
        f"{silent}: no answer within 1 s; {other}: "
    )
    assert f"; {living} refused user or password; " in text
    assert secret not in text
    assert "\n" not in text


@BOTH
@pytest.mark.usefixtures("first_first")
def test_a_host_where_another_server_answers_is_passed_over(
    amqp_url: str, endpoints: Endpoints, connect: Connect
) -> None:
    with closing(connect(among(amqp_url, host_of(endpoints.database_url)), name="test")):
        pass


@pytest.mark.usefixtures("first_first")
def test_a_session_whose_host_falls_silent_ends_after_the_heartbeat(amqp_url: str) -> None:
    with Forwarder(amqp_url) as line:
        url = among(amqp_url, host_of(line.url)) + "?heartbeat=1"
        with closing(Session(url, name="test")) as session:
            assert session.where == host_of(line.url)
            line.stall()

            def lost() -> bool:
                try:
                    session.poll(0.1)
                except BrokerUnavailable:
                    return True
                return False

            wait_until(lost, timeout=60, what="the end of the session")
    # The forwarder is gone.
    with closing(Session(url, name="test")) as session:
        assert session.where == host_of(amqp_url)


def test_failing_at_several_hosts_leaves_no_socket_open(amqp_url: str) -> None:
    with ExitStack() as stack:
        lines = [stack.enter_context(Forwarder(amqp_url)) for _ in range(2)]
        url = among(lines[0].url, host_of(lines[1].url)) + "-not"
        for connect in (Session, Administration):
            with pytest.raises(BrokerUnavailable, match="refused virtual host"):
                connect(url, name="test")
        wait_until(lambda: not any(line.connections for line in lines), what="closed connections")


def test_the_management_api_answers_at_one_living_host(endpoints: Endpoints, amqp_url: str) -> None:
    with Administration(amqp_url, name="test") as admin:
        admin.declare(QUEUES)
    url = among(endpoints.management_url, f"127.0.0.1:{closed_port()}", f"[::1]:{closed_port()}")
    for _ in range(8):
        assert {one.name for one in inspect(url, amqp_url).queues} >= {one.name for one in QUEUES}
        assert queue_statistics(url, among(amqp_url, "another")) is not None


def test_a_management_api_that_is_dead_at_each_host_is_told_for_each() -> None:
    dead = [f"127.0.0.1:{closed_port()}" for _ in range(2)]
    with pytest.raises(BrokerUnavailable) as error:
        inspect(f"http://u:secret@{','.join(dead)}", "amqp://h/")
    assert all(f"{one}: [Errno 111] Connection refused" in str(error.value) for one in dead)
    assert "secret" not in str(error.value)
