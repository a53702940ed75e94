"""A standby of the tests' PostgreSQL."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from runtime.devserver import ports, programs
from runtime.devserver.place import for_postgres


class Standby:
    """A standby that follows its primary until it is promoted.

    Attributes:
        port: on 127.0.0.1.
    """

    def __init__(self, directory: Path, primary: str) -> None:
        self._data = directory / "data"
        (self.port,) = ports.choose(1)
        self._primary = urlsplit(primary)
        _run("pg_basebackup", "--checkpoint=fast", "-R", "-D", self._data, "-d", primary)
        self._control("start", "-w", "-l", directory / "log", "-o", f"-p {self.port}")

    def url(self, database_url: str) -> str:
        """The URL of one of the primary's databases on this standby."""
        parts = urlsplit(database_url)
        who = parts.netloc.rpartition("@")[0]
        return parts._replace(netloc=f"{who}@{ports.HOST}:{self.port}").geturl()

    def promote_read_only(self) -> None:
        """Promote the standby, with transactions read-only as an operator may set them."""
        with (self._data / "postgresql.auto.conf").open("a", encoding="utf-8") as settings:
            settings.write("default_transaction_read_only = on\n")
        self._control("promote", "-w")
        self._control("reload")

    def stop(self) -> None:
        """Stop the server."""
        self._control("stop", "-m", "immediate")

    def _control(self, *arguments: object) -> None:
        _run("pg_ctl", "-D", self._data, *arguments)


@contextmanager
def standby(primary: str) -> Iterator[Standby]:
    """Start a standby of the server of a URL, and remove it at the end."""
    # Only its owner may enter pytest's directory, and PostgreSQL runs as another user.
    with tempfile.TemporaryDirectory(prefix="statesys-standby-") as directory:
        for_postgres().own(Path(directory))
        made = Standby(Path(directory), primary)
        try:
            yield made
        finally:
            made.stop()


def _run(program: str, *arguments: object) -> None:
    done = subprocess.run(
        [programs.postgresql_bin() / program, *map(str, arguments)],
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        # The server would keep a pipe open.
        stderr=subprocess.DEVNULL,
        check=False,
        **for_postgres().identity,
    )
    assert done.returncode == 0, (program, arguments)
