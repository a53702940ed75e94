"""A database of a test that is away, while its server serves the other tests."""

from urllib.parse import urlsplit

import psycopg


def close_database(url: str) -> None:
    """Allow no new sessions, and end those that exist."""
    _allow(url, connections=False)


def open_database(url: str) -> None:
    """Allow sessions again."""
    _allow(url, connections=True)


def _allow(url: str, *, connections: bool) -> None:
    parts = urlsplit(url)
    name = parts.path[1:]
    with psycopg.connect(parts._replace(path="/postgres").geturl(), autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS {connections}')
        if not connections:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
            )
