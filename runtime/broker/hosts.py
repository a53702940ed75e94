"""Several hosts in one URL of the broker, and the order in which they are tried."""

import random
from collections.abc import Sequence
from typing import TypeVar

from runtime.urls import UnusableURL, host_and_port, strictly_split

Host = TypeVar("Host")

#: What a scheme means without a port.
_PORTS = {"amqp": 5672, "amqps": 5671, "http": 80, "https": 443}


def addresses(url: str) -> list[str]:
    """One URL for each host of a URL, in the order of the text.

    Args:
        url: such as `amqp://user:password@a,b:5673,[::1]/vhost`; each host has its own port.

    Raises:
        UnusableURL: as `strictly_split`; or a host between two commas is empty or named twice.
    """
    parts = strictly_split(url)
    account, at, hosts = parts.netloc.rpartition("@")
    texts = hosts.split(",")
    if len(texts) == 1:
        return [url]
    default = _PORTS.get(parts.scheme, 0)
    found = [(host.lower(), int(port or default)) for host, port in map(host_and_port, texts)]
    if not all(host for host, _ in found):
        raise UnusableURL("a comma without a host before or after it")
    if len(set(found)) < len(found):
        raise UnusableURL("a host is named twice")
    return [parts._replace(netloc=f"{account}{at}{text}").geturl() for text in texts]


def in_random_order(hosts: Sequence[Host]) -> list[Host]:
    """The hosts in another order each time: the connections of many processes spread over them."""
    return random.sample(hosts, len(hosts))
