"""Broker operations that tests need besides the tested code."""

from urllib.parse import urlsplit

from runtime.broker import Administration, persistent
from schemas.topology import DEAD
from tests.support.management import Management
from tests.support.waiting import wait_until


def vhost(amqp_url: str) -> str:
    """The virtual host of a URL."""
    return urlsplit(amqp_url).path.removeprefix("/")


def fill(admin: Administration, *bodies: bytes, queue: str = DEAD) -> None:
    """Publish messages, each confirmed."""
    for body in bodies:
        admin.publish(routing_key=queue, body=body, properties=persistent())


def cut(management: Management, amqp_url: str, name: str) -> None:
    """Close a connection by its name, as an operator does in the UI."""

    def found() -> str | None:
        connections = management.call("GET", "vhosts", vhost(amqp_url), "connections")
        return next(
            (
                str(c["name"])
                for c in connections
                if c.get("client_properties", {}).get("connection_name") == name
            ),
            None,
        )

    listed = wait_until(found, timeout=30, what="the connection to be listed")
    management.call("DELETE", "connections", str(listed))
