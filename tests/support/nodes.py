"""PostgreSQL servers that replicate: a standby of the tests' server, or a pair of our own."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from runtime.devserver import ports, programs
from runtime.devserver.place import for_postgres
from tests.support.waiting import wait_until

#: Seconds for a server to start, stop or replicate, on a busy machine.
_PATIENCE = 60.0
_USER = "statesys"
#: Where the data of a pair is, which tests kill and copy: in memory if there is one.
_MEMORY = Path("/dev/shm")


class Node:
    """A server on a free port of 127.0.0.1.

    Attributes:
        data: its directory.
        port: on 127.0.0.1.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.data = directory / "data"
        (self.port,) = ports.choose(1)

    @property
    def log(self) -> str:
        """All that the server wrote."""
        return (self._directory / "log").read_text(encoding="utf-8")

    def start(self) -> None:
        """Start the server, or start it again."""
        # A socket would have a lock of its own.
        options = f"-p {self.port} -c unix_socket_directories="
        self._control("start", "-w", "-l", self._directory / "log", "-o", options)

    def url(self, database_url: str) -> str:
        """The URL of one of another server's databases on this one."""
        parts = urlsplit(database_url)
        who = parts.netloc.rpartition("@")[0]
        return parts._replace(netloc=f"{who}@{ports.HOST}:{self.port}").geturl()

    def follow(self, primary: str) -> None:
        """Become a standby of a server, with a new copy of its data."""
        if self.data.exists():
            shutil.rmtree(self.data)
        _run("pg_basebackup", "--checkpoint=fast", "-R", "-D", self.data, "-d", primary)
        # A primary's own: nothing follows a server that has just been promoted.
        self.configure(synchronous_standby_names="")
        self.start()

    def lose_primary(self) -> None:
        """Receive nothing more, as if the network between the two had gone."""
        self.execute("ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
        wait_until(
            lambda: not self.execute("SELECT 1 FROM pg_stat_wal_receiver"),
            timeout=_PATIENCE,
            what="the receiver's end",
        )

    def promote(self) -> None:
        """Make a primary of a standby."""
        self._control("promote", "-w")

    def promote_read_only(self) -> None:
        """Promote the standby, with transactions read-only as an operator may set them."""
        self.configure(default_transaction_read_only="on")
        self.promote()
        self._control("reload")

    def configure(self, **settings: str) -> None:
        """Write settings into the server's file; the next start or reload reads them."""
        with (self.data / "postgresql.auto.conf").open("a", encoding="utf-8") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())

    def execute(self, *statements: str, name: str = "postgres") -> list[tuple[Any, ...]]:
        """Execute statements as superuser; return the rows of the last one."""
        where = f"postgresql://{_USER}:{_USER}@{ports.HOST}:{self.port}/{name}"
        with psycopg.connect(where, autocommit=True) as connection:
            cursor = connection.cursor()
            for statement in statements:
                cursor.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def kill(self) -> None:
        """Kill the server, and wait until none of its processes is left."""
        lines = (self.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        pid = int(lines[0])
        group = [pid, *self._children(pid)]
        for one in group:
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        wait_until(
            lambda: not any(_runs(one) for one in group), timeout=_PATIENCE, what="the server's end"
        )
        # PostgreSQL takes a zombie for a server that runs.
        (self.data / "postmaster.pid").unlink()

    @contextmanager
    def receiver_stopped(self) -> Iterator[None]:
        """Stop the process of a standby that receives the log; let it go on at the end."""
        streaming = "SELECT pid FROM pg_stat_wal_receiver WHERE status = 'streaming'"
        ((pid,),) = wait_until(
            lambda: self.execute(streaming), timeout=_PATIENCE, what="the receiver"
        )
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def stop(self) -> None:
        """Stop the server, if it runs."""
        with suppress(AssertionError):
            self._control("stop", "-m", "immediate")

    def _children(self, pid: int) -> list[int]:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        return [int(word) for word in found.split()]

    def _control(self, *arguments: object) -> None:
        _run("pg_ctl", "-D", self.data, *arguments)


class Pair:
    """A primary and a standby that follows it.

    Attributes:
        primary, standby: the two; a failover exchanges them.
    """

    def __init__(self, directory: Path, *, fsync: bool) -> None:
        nodes = [Node(_own(directory / name)) for name in ("first", "second")]
        self.primary, self.standby = nodes
        self._hosts = ",".join(f"{ports.HOST}:{one.port}" for one in nodes)
        data = self.primary.data
        _run("initdb", "-D", data, "-U", _USER, "-A", "trust", "-E", "UTF8", "--no-sync")
        self.primary.configure(
            fsync="on" if fsync else "off",
            listen_addresses=ports.HOST,
            # A killed server leaves its shared memory; as files it is removed with the data.
            dynamic_shared_memory_type="mmap",
        )
        self.primary.start()
        self.primary.execute(f"CREATE DATABASE {_USER}")
        self.standby.follow(self.primary.url(self.plain_url))

    @property
    def url(self) -> str:
        """The URL of a database on whichever of the two takes writes."""
        return f"postgresql://{_USER}:{_USER}@{self._hosts}/{_USER}?target_session_attrs=read-write"

    @property
    def plain_url(self) -> str:
        """The URL of that database without parameters, for `Node.url`."""
        return f"postgresql://{_USER}:{_USER}@{ports.HOST}/{_USER}"

    def make_synchronous(self) -> None:
        """Let commits on the primary wait for the standby, which is there."""
        self.primary.execute(
            "ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"
        )
        self._await_standby("sync")

    def fail_over(self) -> None:
        """Kill the primary, and promote the standby."""
        self.primary.kill()
        self.standby.promote()
        self.primary, self.standby = self.standby, self.primary

    def restore(self) -> None:
        """Make the killed server a standby of the one that took its place."""
        self.standby.follow(self.primary.url(self.plain_url))
        self._await_standby("async")

    def stop(self) -> None:
        """Stop both."""
        for one in (self.standby, self.primary):
            one.stop()

    def _await_standby(self, state: str) -> None:
        query = f"SELECT 1 FROM pg_stat_replication WHERE sync_state = '{state}'"
        wait_until(
            lambda: self.primary.execute(query), timeout=_PATIENCE, what=f"a standby: {state}"
        )


@contextmanager
def standby(primary: str) -> Iterator[Node]:
    """Start a standby of the server of a URL, and remove it at the end."""
    with _directory() as directory:
        made = Node(directory)
        made.follow(primary)
        try:
            yield made
        finally:
            made.stop()


@contextmanager
def pair(*, fsync: bool = False) -> Iterator[Pair]:
    """Start a primary and its standby, with an empty database; remove both at the end."""
    with _directory() as directory:
        made = Pair(directory, fsync=fsync)
        try:
            yield made
        finally:
            made.stop()


@contextmanager
def _directory() -> Iterator[Path]:
    # Only its owner may enter pytest's directory, and PostgreSQL runs as another user.
    place = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="statesys-node-", dir=place) as directory:
        for_postgres().own(Path(directory))
        yield Path(directory)


def _own(directory: Path) -> Path:
    """Make a directory of PostgreSQL's user."""
    directory.mkdir(mode=0o700)
    for_postgres().own(directory)
    return directory


def _runs(pid: int) -> bool:
    """Whether a process exists, and is no zombie."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except FileNotFoundError:
        return False


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
