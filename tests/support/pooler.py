"""A PgBouncer for one test, in front of the tests' PostgreSQL."""

import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from runtime.devserver.place import for_postgres
from tests.support.waiting import wait_until

_SETTINGS = """\
[databases]
* = host={host} port={port} user={user} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {size}
"""


@contextmanager
def pooled(url: str, mode: str, *, size: int = 20) -> Iterator[str]:
    """Start a PgBouncer for a database, and yield the URL through it.

    Args:
        url: of the database.
        mode: `transaction` or `session`.
        size: server connections at most.
    """
    parts = urlsplit(url)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        own = free.getsockname()[1]
    account = for_postgres()
    with tempfile.TemporaryDirectory() as directory:
        # Debian's PgBouncer refuses to run as root; its user has to reach the file.
        Path(directory).chmod(0o755)
        file = Path(directory) / "pgbouncer.ini"
        file.touch(mode=0o600)
        file.write_text(
            _SETTINGS.format(
                host=parts.hostname,
                port=parts.port,
                user=parts.username,
                password=parts.password,
                own=own,
                mode=mode,
                size=size,
            ),
            encoding="utf-8",
        )
        account.own(file)
        with subprocess.Popen(
            ["/usr/sbin/pgbouncer", str(file)],
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **account.identity,
        ) as process:
            through = parts._replace(netloc=f"{parts.username}:any@127.0.0.1:{own}").geturl()

            def answers() -> bool:
                assert process.poll() is None, "PgBouncer ended"
                try:
                    psycopg.connect(through).close()
                except psycopg.OperationalError:
                    return False
                return True

            try:
                wait_until(answers, timeout=30, what="PgBouncer")
                yield through
            finally:
                process.kill()
