"""The private PostgreSQL: made once with initdb, and run without a terminal.

Durability settings (fsync, synchronous_commit) stay at PostgreSQL's defaults: the pipeline loses
no message only if a commit is durable.
"""

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from runtime.devserver import place, ports, processes, programs
from runtime.devserver.errors import ServicesError
from runtime.devserver.place import for_postgres
from runtime.devserver.processes import tail, until
from runtime.devserver.registry import NAME, Postgres
from runtime.files import sync, write_private
from runtime.process_identity import Process, alive, identify

# Seconds. A start after a crash first replays up to max_wal_size of log.
START = 120
# Seconds; a fast shutdown writes one checkpoint.
STOP = 60

_LOG = "postgres.log"

# Read at each start, after initdb's postgresql.conf, whose settings it overrides.
_OWN_SETTINGS = "statesys.conf"

# Its messages in English, and no address of another server from our environment.
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "LANG": "C.UTF-8"}

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

    def __init__(self, home: Path, service: Postgres, *, locks: Sequence[int] = ()) -> None:
        """Look up the programs and the user to run them as; nothing is started.

        Args:
            home: of the server.
            service: its port and password.
            locks: descriptors of lock files. PostgreSQL's programs inherit them, and so keep the
                locks if we end first.
        """
        self._home = home
        self._service = service
        self._locks = locks
        self._bin = programs.postgresql_bin()
        self._account = for_postgres()

    def require_port(self, known: Process | None) -> None:
        """Check that its port is free, unless it runs.

        Raises:
            ServicesError: the port is taken.
        """
        if not alive(known) and _postmaster(self._data) is None:
            ports.require_free(self._service.port, purpose="PostgreSQL")

    def launch(self, write_down: Callable[[Process], None]) -> Process:
        """Start it without waiting, and initialise it first if needed; `wait` waits.

        Args:
            write_down: records the process, before the server starts in it.

        Raises:
            ServicesError: it cannot be initialised, or another server uses this data and does not
                stop.
        """
        self._clear_orphan()
        base = place.prepare(self._home, self._account)
        data = base / "data"
        if not data.exists():
            self._initialise(data)
        _shut_down(data, None)
        self._configure(data)
        return processes.spawn(
            [str(self._bin / "postgres"), "-D", str(data)],
            account=self._account,
            # An old pid file, left by a power cut, may contain our pid by accident. With this
            # variable PostgreSQL ignores such a file.
            env=_ENVIRONMENT | {"PG_GRANDPARENT_PID": str(os.getpid())},
            cwd=base,
            output=base / _LOG,
            write_down=write_down,
        )

    def wait(self, process: Process) -> None:
        """Wait until it takes connections.

        Raises:
            ServicesError: it ended, or was not ready in time; the message has the end of its log.
        """

        def settled() -> bool:
            words = _pid_file(self._data)
            ready = words[:1] == [str(process.pid)] and words[7:8] == ["ready"]
            return ready or not alive(process)

        if not until(settled, seconds=START) or not alive(process):
            msg = f"PostgreSQL did not come up\n{tail(self._data.parent / _LOG)}"
            raise ServicesError(msg)

    def stop(self, known: Process | None) -> bool:
        """Fast shutdown: open transactions are rolled back, everything committed is on disk.

        Args:
            known: the recorded process. If it has ended, an unrecorded one is searched for.

        Returns:
            False when nothing ran.

        Raises:
            ServicesError: it did not end in time.
        """
        return _shut_down(self._data, known)

    @property
    def _data(self) -> Path:
        return place.link(self._home).resolve() / "data"

    def _clear_orphan(self) -> None:
        """Delete data whose home is gone: its password is lost. Its server may still run."""
        orphan = place.orphan(self._home)
        if orphan is not None:
            _shut_down(orphan / "data", None)
            shutil.rmtree(orphan)

    def _initialise(self, data: Path) -> None:
        """Make cluster and database under another name, then rename, so that neither is partial."""
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
            # It sorts by code point, as Python does, and classifies letters beyond ASCII.
            "--locale=C.UTF-8",
        )
        password.unlink()
        with (unfinished / "postgresql.conf").open("a", encoding="utf-8") as settings:
            settings.write(f"include '{_OWN_SETTINGS}'\n")
        self._configure(unfinished)
        # Single-user mode needs no server, no password and no waiting.
        self._run(
            "postgres", "--single", "-D", unfinished, "postgres", text=f"CREATE DATABASE {NAME}\n"
        )
        unfinished.rename(data)
        # After a power cut the next start must find this data, and not initialise again.
        sync(data.parent)

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
        """Whether it has lz4, which is optional when PostgreSQL is built, from version 15 on."""
        own = ("-c", "config_file=/dev/null", "-c", "wal_compression=lz4")
        asked = subprocess.run(
            [self._bin / "postgres", "-D", data, *own, "-C", "wal_compression"],
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            **self._account.identity,
        )
        return asked.returncode == 0

    def _has_library(self, name: str) -> bool:
        """Whether a loadable library exists: with a missing one the server would not start."""
        near = ("lib", "lib/postgresql", "lib64/pgsql")  # Debian's layout, upstream's, Fedora's
        return any((self._bin.parent / lib / f"{name}.so").exists() for lib in near)

    def _write(self, path: Path, text: str) -> None:
        """Write a file that only the server's user can read."""
        write_private(path, text)
        self._account.own(path)

    def _run(self, program: str, *arguments: object, text: str = "") -> None:
        """Run one of PostgreSQL's programs as the server's user."""
        argv = [str(self._bin / program), *map(str, arguments)]
        done = subprocess.run(
            argv,
            # The service user may not be allowed into our directory.
            cwd="/",
            input=text,
            env=_ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
            # If we die, the next command must wait until this program has ended.
            pass_fds=self._locks,
            **self._account.identity,
        )
        if done.returncode != 0:
            words = (done.stderr or done.stdout).strip()
            raise ServicesError(f"PostgreSQL did not do `{shlex.join(argv)}`:\n{words}")


def _shut_down(data: Path, known: Process | None) -> bool:
    """Stop the server of this data; False when none runs."""
    process = known if alive(known) else _postmaster(data)
    if process is None:
        return False

    def listens() -> bool:
        # A shell without a terminal starts it with SIGINT ignored. It writes this file after it
        # has installed its own handler.
        return _pid_file(data)[:1] == [str(process.pid)]

    if not processes.stop(process, by=signal.SIGINT, listens=listens, seconds=STOP):
        msg = f"PostgreSQL did not stop within {STOP} s\n{tail(data.parent / _LOG)}"
        raise ServicesError(msg)
    return True


def _postmaster(data: Path) -> Process | None:
    """The running server of this data, also if it is not recorded.

    Its pid file may have survived a power cut, and another program may have the pid by now. So
    the process must have the data directory as its working directory.
    """
    try:
        pid = int(_pid_file(data)[0])
        here = Path(f"/proc/{pid}/cwd").samefile(data)
    except (IndexError, ValueError, OSError):
        return None
    return identify(pid) if here else None


def _pid_file(data: Path) -> list[str]:
    """The lines of the pid file: the first has the pid, the eighth the state of the server."""
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return [line.strip() for line in lines]
