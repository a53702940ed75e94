"""Users of RabbitMQ with few rights, as `docs/operations.md` gives them or an older page did."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit
from uuid import uuid4

from tests.support.brokers import vhost
from tests.support.management import Management

#: The patterns (configure, write, read) that an older page gave relays and loaders.
OLD_RELAY = ("^$", r"^amq\.default$", "^mp_relayendpoint$")
OLD_LOADER = ("^$", r"^amq\.default$", r"^statesys\.incoming(\.high|\.low)?$")


@contextmanager
def user_with(management: Management, amqp_url: str, rights: tuple[str, str, str]) -> Iterator[str]:
    """The URL of a user with these rights, who exists inside of the block."""
    name = f"restricted-{uuid4().hex}"
    management.call("PUT", "users", name, body={"password": "secret", "tags": ""})
    body = dict(zip(("configure", "write", "read"), rights, strict=True))
    management.call("PUT", "permissions", vhost(amqp_url), name, body=body)
    parts = urlsplit(amqp_url)
    try:
        yield parts._replace(netloc=f"{name}:secret@{parts.hostname}:{parts.port}").geturl()
    finally:
        management.call("DELETE", "users", name)
