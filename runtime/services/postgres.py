"""The private PostgreSQL: made once with initdb, run by pg_ctl, which detaches it itself.

Durability is PostgreSQL's own default and stays so (fsync, synchronous_commit): the pipeline's
promise is worth as much as the commit it ends in.
"""

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from runtime.services import place, ports, programs
from runtime.services.account import for_postgres
from runtime.services.errors import ServicesError
from runtime.services.files import write_private
from runtime.services.logs import tail
from runtime.services.processes import Process, identify
from runtime.services.registry import NAME, Postgres

# Seconds. A start after a crash replays up to max_wal_size of log first.
START = 120
# Seconds; a fast shutdown writes one checkpoint.
STOP = 60

# Read at each start, after and over initdb's own postgresql.conf.
_OWN_SETTINGS = "statesys.conf"

_SETTINGS = """\
# Written by `statesys up` at each start.
listen_addresses = '{host}'
port = {port}
# TCP only: a socket directory would have to be writable, short and nobody else's.
unix_socket_directories = ''
# Loader threads, relays, the console and parallel tests; an idle connection costs little.
max_connections = 200
# The tables' hot pages; small enough for a laptop.
shared_buffers = 512MB
# Bulk loading writes many full-page images: compressed, and fewer with rarer checkpoints.
wal_compression = {compression}
max_wal_size = 8GB
min_wal_size = 512MB
checkpoint_timeout = 15min
shared_preload_libraries = '{preload}'
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %u@%d '
# Waiting for a lock longer than deadlock_timeout is worth a line here.
log_lock_waits = on
# In the process list, beside other PostgreSQL servers.
cluster_name = 'statesys'
"""


class Server:
    """One private PostgreSQL; starting and stopping it twice is harmless."""

    def __init__(self, home: Path, service: Postgres) -> None:
        """Look up the programs and the user to run them as; nothing is started."""
        self._home = home
        self._service = service
        self._bin = programs.postgresql_bin()
        self._account = for_postgres()

    def require_port(self) -> None:
        """See that it can listen, unless it does.

        Raises:
            ServicesError: the port is taken.
        """
        if not self._runs(self._data):
            ports.require_free(self._service.port, purpose="PostgreSQL")

    def start(self) -> Process:
        """Start it, initialise it first if need be, and wait until it takes connections.

        Raises:
            ServicesError: it did not come up; the message has the end of its log.
        """
        if not self._runs(self._data):
            self._launch()
        log = self._data.parent / "postgres.log"
        self._run("pg_isready", "-q", "-h", ports.HOST, "-p", self._service.port, logs=[log])
        return _postmaster(self._data)

    def stop(self) -> None:
        """Fast shutdown: open transactions are rolled back, everything committed is on disk.

        Raises:
            ServicesError: it did not end in time.
        """
        self._shut_down(self._data)

    @property
    def _data(self) -> Path:
        return place.link(self._home).resolve() / "data"

    def _launch(self) -> None:
        self._clear_orphan()
        base = place.prepare(self._home, self._account)
        data, log = base / "data", base / "postgres.log"
        if not data.exists():
            self._initialise(data)
        self._configure(data)
        # pg_ctl puts both names into a line for a shell, which would read a `$` or a quote.
        names = ("-D", data.name, "-l", log.name)
        self._run("pg_ctl", "start", *names, "-w", "-t", START, logs=[log], cwd=base)

    def _shut_down(self, data: Path) -> None:
        if self._runs(data):
            log = data.parent / "postgres.log"
            self._run("pg_ctl", "stop", "-D", data, "-m", "fast", "-w", "-t", STOP, logs=[log])

    def _clear_orphan(self) -> None:
        """Data whose home is gone has no password any more, and its server may still run."""
        orphan = place.orphan(self._home)
        if orphan is not None:
            self._shut_down(orphan / "data")
            shutil.rmtree(orphan)

    def _initialise(self, data: Path) -> None:
        """Make cluster and database under another name, then rename: there is no half of it."""
        unfinished = data.with_suffix(".new")
        if unfinished.exists():
            shutil.rmtree(unfinished)
        password = data.parent / "password"
        self._write(password, self._service.password)
        self._run(
            "initdb",
            f"--pgdata={unfinished}",
            f"--username={NAME}",
            f"--pwfile={password}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            # Sorts by code point, as Python does, and knows letters beyond ASCII.
            "--locale=C.UTF-8",
        )
        password.unlink()
        with (unfinished / "postgresql.conf").open("a", encoding="utf-8") as settings:
            settings.write(f"include '{_OWN_SETTINGS}'\n")
        self._configure(unfinished)
        # Single-user mode: no server, no password, nothing to wait for.
        self._run(
            "postgres", "--single", "-D", unfinished, "postgres", text=f"CREATE DATABASE {NAME}\n"
        )
        unfinished.rename(data)

    def _configure(self, data: Path) -> None:
        statements = "pg_stat_statements" if self._has_library("pg_stat_statements") else ""
        settings = _SETTINGS.format(
            host=ports.HOST,
            port=self._service.port,
            compression="lz4" if self._has_lz4(data) else "on",
            preload=statements,
        )
        self._write(data / _OWN_SETTINGS, settings)

    def _has_lz4(self, data: Path) -> bool:
        """Ask the program itself: lz4 is a choice of whoever built it, from version 15 on."""
        own = ("-c", "config_file=/dev/null", "-c", "wal_compression=lz4")
        asked = self._ask("postgres", "-D", data, *own, "-C", "wal_compression")
        return asked.returncode == 0

    def _has_library(self, name: str) -> bool:
        """Whether a loadable library is there: naming one that is not keeps the server down."""
        near = ("lib", "lib/postgresql", "lib64/pgsql")  # Debian's layout, upstream's, Fedora's
        return any((self._bin.parent / lib / f"{name}.so").exists() for lib in near)

    def _write(self, path: Path, text: str) -> None:
        """Write a file that is the server's user's alone."""
        write_private(path, text)
        self._account.own(path)

    def _runs(self, data: Path) -> bool:
        """Ask pg_ctl, which also knows a server that an interrupted `up` did not write down."""
        if not data.exists():
            return False
        return self._ask("pg_ctl", "status", "-D", data).returncode == 0

    def _ask(self, program: str, *arguments: object) -> subprocess.CompletedProcess[bytes]:
        """Run one of PostgreSQL's programs for its exit code."""
        return subprocess.run(
            [str(self._bin / program), *map(str, arguments)],
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            **self._account.identity,
        )

    def _run(
        self,
        program: str,
        *arguments: object,
        text: str = "",
        logs: Sequence[Path] = (),
        # The service user may not stand where we stand.
        cwd: Path = Path("/"),
    ) -> None:
        """Run one of PostgreSQL's programs as the server's user."""
        argv = [str(self._bin / program), *map(str, arguments)]
        done = subprocess.run(
            argv,
            cwd=cwd,
            input=text,
            # Its own words in English, and no address of another server from our environment.
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "LANG": "C.UTF-8"},
            capture_output=True,
            text=True,
            check=False,
            # Out of this terminal's reach: Ctrl-C here must not stop the server.
            start_new_session=True,
            **self._account.identity,
        )
        if done.returncode != 0:
            words = (done.stderr or done.stdout).strip()
            msg = f"PostgreSQL did not do `{shlex.join(argv)}`:\n{words}\n{tail(*logs)}".rstrip()
            raise ServicesError(msg)


def _postmaster(data: Path) -> Process:
    """The server's main process; its pid is the first line of its own pid file."""
    pid = int((data / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0])
    process = identify(pid)
    if process is None:
        msg = f"PostgreSQL came up and ended at once:\n{tail(data.parent / 'postgres.log')}"
        raise ServicesError(msg)
    return process
