"""Connections that fail, and their error messages."""

import os
import socket
from urllib.parse import urlsplit

import pytest

from runtime.broker import Administration, Session
from schemas.errors import BrokerUnavailable, SettingsError


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.parametrize("connect", [Session, Administration])
def test_a_broker_that_cannot_be_had_is_unavailable_in_words(
    amqp_url: str, connect: type[Session | Administration]
) -> None:
    parts = urlsplit(amqp_url)
    secret = str(parts.password)
    nowhere = f"amqp://u:{secret}@127.0.0.1:{closed_port()}/"
    for url, words in (
        (nowhere, "connection refused"),
        (amqp_url.replace(secret, "wrong" + secret), "password"),
        (amqp_url + "-not", "virtual host"),
    ):
        with pytest.raises(BrokerUnavailable, match=words) as error:
            connect(url, name="test")
        assert secret not in str(error.value)


@pytest.mark.parametrize("connect", [Session, Administration])
def test_failing_to_connect_leaves_nothing_open(connect: type[Session | Administration]) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    url = f"amqp://u:p@127.0.0.1:{closed_port()}/"
    before = descriptors()
    for _ in range(20):
        with pytest.raises(BrokerUnavailable):
            connect(url, name="test")
    assert descriptors() <= before + 2


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost",
        "http://u:secret@h/",
        "amqp://u:secret@h:99999/",
        "amqp://u:sec/ret@h:1/",
        "amqp://[::1/secret",
        "amqp://secret@h/",
        "amqp://u:p@h/?secret=1",
        # TLS files without TLS or named twice, a key alone, a pika option that avoids the check.
        "amqp://u:secret@h/?cacertfile=secret",
        "amqps://u:secret@h/?cacertfile=secret&cacertfile=secret",
        "amqps://u:secret@h/?keyfile=secret",
        "amqps://u:secret@h/?ssl_options=%7B%27protocol%27%3A2%7D",
    ],
)
def test_a_bad_url_is_a_bad_setting_and_is_not_quoted(url: str) -> None:
    with pytest.raises(SettingsError, match="STATESYS_AMQP_URL") as error:
        Session(url, name="test")
    assert "sec" not in str(error.value).replace("special characters", "")
