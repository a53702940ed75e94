"""A separate database or virtual host: for one test, or for several that only read."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from runtime.devserver import Endpoints
from tests.support import commands
from tests.support.management import Management


@contextmanager
def database(endpoints: Endpoints, *, template: str) -> Iterator[str]:
    """Create a copy of a database without connections, yield its URL, and drop it at the end."""
    name = f"test_{uuid.uuid4().hex}"
    words = {"name": sql.Identifier(name), "template": sql.Identifier(template)}
    with psycopg.connect(_url(endpoints, "postgres"), autocommit=True) as administration:
        # As files: through the write-ahead log, which is the default, takes twice the time.
        administration.execute(
            sql.SQL("CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy").format(**words)
        )
        yield _url(endpoints, name)
        # A failed test may leave a worker connected, which must not prevent the drop.
        administration.execute(
            sql.SQL("DROP DATABASE IF EXISTS {name} WITH (FORCE)").format(**words)
        )


def name_of(url: str) -> str:
    """The name of a database, or of a virtual host."""
    return urlsplit(url).path[1:]


@contextmanager
def virtual_host(endpoints: Endpoints) -> Iterator[str]:
    """Create a virtual host without queues, yield its URL, and delete it at the end."""
    name, management = f"test-{uuid.uuid4().hex}", Management(endpoints.management_url)
    management.create_vhost(name)
    yield urlsplit(endpoints.amqp_url)._replace(path=f"/{name}").geturl()
    management.delete_vhost(name)


@contextmanager
def site(endpoints: Endpoints, *, template: str, home: Path) -> Iterator[dict[str, str]]:
    """Create both, and yield the environment of commands that use them."""
    with (
        virtual_host(endpoints) as amqp_url,
        database(endpoints, template=template) as database_url,
    ):
        yield {
            **commands.bare_environment(home),
            "STATESYS_AMQP_URL": amqp_url,
            "STATESYS_DATABASE_URL": database_url,
        }


def _url(endpoints: Endpoints, name: str) -> str:
    return urlsplit(endpoints.database_url)._replace(path=f"/{name}").geturl()
