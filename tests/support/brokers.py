"""Broker operations that tests need besides the tested code."""

import subprocess
from urllib.parse import urlsplit

from runtime.broker import Administration, persistent
from runtime.devserver import ServicesError, programs, registry
from runtime.devserver.rabbitmq import Server
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

    listed = wait_until(found, timeout=60, what="the connection to be listed")
    management.call("DELETE", "connections", str(listed))


def stop_queue(services: registry.Services, amqp_url: str, name: str) -> None:
    """Stop the only member of a quorum queue, as a damaged log does: the queue has no leader."""
    rabbitmqctl(
        services,
        "eval",
        f'{{ok, Queue}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"{vhost(amqp_url)}">>, queue, '
        f'<<"{name}">>)), ra:stop_server(quorum_queues, amqqueue:get_pid(Queue)).',
    )


def rabbitmqctl(services: registry.Services, *arguments: str, node: int = 1) -> None:
    """Run a private broker's own tool, for what has no API.

    Raises:
        ServicesError: it failed; with its output.
    """
    server = Server(services.home, services.brokers[node - 1])
    done = subprocess.run(
        [str(programs.rabbitmq_server().with_name("rabbitmqctl")), *arguments],
        env=server._environment(programs.rabbitmq_server()),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode != 0:
        raise ServicesError(f"rabbitmqctl {arguments}: {done.stdout}{done.stderr}")
