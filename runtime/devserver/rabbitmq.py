"""The private RabbitMQ: the distribution's start script with a complete configuration of its own.

It has its own node name, ports, port mapper, cookie, data, logs and configuration, all given
through the environment, and binds everything to 127.0.0.1. It shares nothing with a system-wide
RabbitMQ.
"""

import base64
import os
import shutil
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from runtime.devserver import epmd, ports, processes, programs
from runtime.devserver.errors import ServicesError
from runtime.devserver.place import Account
from runtime.devserver.processes import Process, tail, until
from runtime.devserver.registry import NAME, Rabbitmq
from runtime.files import directory, sync, write_private

# Seconds. About 5 for an empty broker; one with a large backlog reads its logs first.
START = 120
# Seconds; quorum queues flush at the end.
STOP = 60
# Seconds for the port mapper to notice that its node is gone.
_MAPPER_STOP = 10

# This file exists from before the first start until that start is complete. A broker that ends in
# between may leave a database with a virtual host and no user, and never create one. So the next
# start deletes the data.
_UNFINISHED = "first-start"

_NODE = f"{NAME}@localhost"

# Bytes. With less free disk space the broker takes no messages.
ROOM = 1_000_000_000

# Variables in a running broker's environment that show which home it belongs to.
_PID_FILE = "RABBITMQ_PID_FILE"
_MAPPER_PORT = "ERL_EPMD_PORT"

_CONFIGURATION = """\
# Written by `statesys up` at each start.
listeners.tcp.local = {host}:{amqp_port}
management.tcp.ip = {host}
management.tcp.port = {management_port}

# Takes effect at the first start only; there is no guest.
default_user = {user}
default_pass = {password}

# The UI and `statesys status` see counts at most this old (milliseconds). The default of 5,000
# is for brokers with thousands of queues.
collect_statistics_interval = 2000

# The rest of this machine is PostgreSQL's and the pipeline's own; the default is 0.4.
vm_memory_high_watermark.relative = 0.25
# Stop publishers while there is still room for what is in flight: the default of 50 MB is less
# than one file of the log below.
disk_free_limit.absolute = {room}

# Everything in the quorum queues' write-ahead log is in memory too until its file is full. The
# default of 512 MiB per file lets an idle-looking broker hold well over 1 GiB.
raft.wal_max_size_bytes = 67108864
# Entries per segment file. A batch is up to 256 KiB, and a file goes only when all of it is
# acked: the default of 4,096 entries would make files of 1 GiB.
raft.segment_max_entries = 512

log.console = false
log.file.rotation.size = 10485760
log.file.rotation.count = 3
"""


class Server:
    """One private RabbitMQ; starting and stopping it twice is harmless."""

    def __init__(self, home: Path, service: Rabbitmq) -> None:
        """Keep the arguments; nothing is started."""
        self._base = home / "rabbitmq"
        self._service = service

    def launch(self, write_down: Callable[[Process], None]) -> Process:
        """Start it without waiting; `wait` waits.

        Args:
            write_down: records the process, before the server starts in it.

        Raises:
            ServicesError: it is not installed, the limit of open files is too low, a port is
                taken, or another broker uses this data and does not stop.
        """
        script = programs.rabbitmq_server()
        processes.require_files()
        if self._stray() is not None:
            self.stop(None)
        service = self._service
        ports.require_free(service.amqp_port, purpose="RabbitMQ, AMQP")
        ports.require_free(service.management_port, purpose="RabbitMQ, management")
        ports.require_free(service.distribution_port, purpose="RabbitMQ, Erlang distribution")
        epmd.require_port(service.epmd_port)
        self._configure()
        self._begin()
        return processes.spawn(
            [str(script)],
            account=Account(),
            env=self._environment(script),
            cwd=self._base,
            output=self._output,
            write_down=write_down,
        )

    def wait(self, process: Process) -> None:
        """Wait until it answers on both ports. From then on it holds data.

        Raises:
            ServicesError: it ended, or did not answer in time; the message has the end of its log.
        """

        def settled() -> bool:
            return not processes.alive(process) or (self._speaks_amqp() and self._knows_user())

        if not until(settled, seconds=START) or not processes.alive(process):
            msg = f"RabbitMQ did not come up\n{tail(*self._logs)}"
            raise ServicesError(msg)
        if unfinished(self._base.parent):
            (self._base / _UNFINISHED).unlink()
            # After a power cut the next start must keep this data.
            sync(self._base)

    def stop(self, known: Process | None, *, flush: bool = True) -> bool:
        """End broker and port mapper.

        Args:
            known: the recorded process. If it has ended, an unrecorded one is searched for.
            flush: stop cleanly and flush the queues, which takes six seconds. False kills the
                broker, for data that is deleted next.

        Returns:
            False when nothing ran.

        Raises:
            ServicesError: the broker did not end in time, and was killed; durable queues
                survive that as they survive a power cut.
        """
        process = known if processes.alive(known) else self._stray()
        mapper = self._service.epmd_port
        if process is not None:
            mapper = int(processes.environment(process).get(_MAPPER_PORT, mapper))
            if flush:
                self._end(process)
            else:
                self._kill()
        epmd.stop(mapper, seconds=_MAPPER_STOP)
        return process is not None

    def _end(self, process: Process) -> None:
        def listens() -> bool:
            # Erlang handles SIGTERM from the beginning. But a SIGTERM before RabbitMQ's own start
            # does not end the process, and prevents that start. RabbitMQ writes this file a moment
            # later, before it opens its data.
            with suppress(OSError):
                return self._pid_file.read_text(encoding="ascii") == str(process.pid)
            return False

        if not processes.stop(process, by=signal.SIGTERM, listens=listens, seconds=STOP):
            processes.kill(process)
            until(lambda: not processes.alive(process), seconds=1)
            msg = f"RabbitMQ did not stop within {STOP} s and was killed\n{tail(*self._logs)}"
            raise ServicesError(msg)

    def _kill(self) -> None:
        """Kill the broker and its child processes: its start runs further Erlang machines."""

        def gone() -> bool:
            left = list(processes.running(name=_PID_FILE, value=str(self._pid_file)))
            for process in left:
                processes.kill(process)
            return not left

        until(gone, seconds=STOP)

    def _stray(self) -> Process | None:
        """A broker that uses this data and is not recorded, because the registry file is lost.

        The oldest process counts: a start runs further, short-lived Erlang machines with the same
        environment.
        """
        strays = processes.running("beam.smp", name=_PID_FILE, value=str(self._pid_file))
        return min(strays, key=lambda process: process.started, default=None)

    @property
    def _pid_file(self) -> Path:
        return self._base / "pid"

    @property
    def _output(self) -> Path:
        return self._base / "log" / "startup.log"

    @property
    def _logs(self) -> tuple[Path, Path]:
        return self._output, self._base / "log" / f"{_NODE}.log"

    def _begin(self) -> None:
        """Remove the data of an incomplete first start, and mark the next first start."""
        data, mark = self._base / "data", self._base / _UNFINISHED
        if mark.exists() and data.exists():
            shutil.rmtree(data)
        if not data.exists():
            write_private(mark, "")
            sync(self._base)
        # It has the pid of an old process, and the new one may get that pid by accident.
        self._pid_file.unlink(missing_ok=True)

    def _configure(self) -> None:
        directory(self._base)
        directory(self._base / "log")
        configuration = _CONFIGURATION.format(
            host=ports.HOST,
            room=ROOM,
            user=NAME,
            password=self._service.password,
            amqp_port=self._service.amqp_port,
            management_port=self._service.management_port,
        )
        write_private(self._base / "rabbitmq.conf", configuration)
        write_private(self._base / "enabled_plugins", "[rabbitmq_management].\n")
        # Erlang requires that only the owner can read it.
        write_private(self._base / ".erlang.cookie", self._service.cookie, mode=0o400)

    def _environment(self, script: Path) -> dict[str, str]:
        """Its complete environment, without ours: RABBITMQ_* there are for another broker."""
        base, service = self._base, self._service
        return {
            # The script calls dirname, readlink and erl.
            "PATH": os.pathsep.join([os.environ.get("PATH", os.defpath), str(script.parent)]),
            "LANG": "C.UTF-8",
            "HOME": str(base),  # the cookie's place
            "ERL_EPMD_ADDRESS": ports.HOST,
            _MAPPER_PORT: str(service.epmd_port),
            "RABBITMQ_NODENAME": _NODE,
            "RABBITMQ_DIST_PORT": str(service.distribution_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ("-kernel inet_dist_use_interface {127,0,0,1}"),
            "RABBITMQ_MNESIA_BASE": str(base / "data"),
            "RABBITMQ_LOG_BASE": str(base / "log"),
            "RABBITMQ_PLUGINS_EXPAND_DIR": str(base / "plugins"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(base / "enabled_plugins"),
            "RABBITMQ_CONFIG_FILE": str(base / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(base / "advanced.config"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(base / "generated"),
            _PID_FILE: str(self._pid_file),
            # A missing file, so that the system-wide broker's is not read.
            "RABBITMQ_CONF_ENV_FILE": str(base / "rabbitmq-env.conf"),
            # Makes the script exec the Erlang machine: the recorded pid is then the broker's own,
            # and SIGTERM reaches it.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def _speaks_amqp(self) -> bool:
        """Whether it answers on AMQP; the listener comes last in RabbitMQ's start."""
        try:
            with socket.create_connection((ports.HOST, self._service.amqp_port), 2) as client:
                client.sendall(b"AMQP\x00\x00\x09\x01")
                # Connection.Start: a method frame, type 1.
                return client.recv(1) == b"\x01"
        except OSError:
            return False

    def _knows_user(self) -> bool:
        """Whether the management API accepts our password."""
        secret = base64.b64encode(f"{NAME}:{self._service.password}".encode()).decode()
        request = urllib.request.Request(
            f"http://{ports.HOST}:{self._service.management_port}/api/whoami",
            headers={"Authorization": f"Basic {secret}"},
        )
        # No proxy: the environment's proxy is not for local addresses.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=5) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.HTTPError):
            return False


def unfinished(home: Path) -> bool:
    """Whether its first start is incomplete, so that it holds no data yet."""
    return (home / "rabbitmq" / _UNFINISHED).exists()


def remove(home: Path) -> None:
    """Delete all data of a broker that does not run."""
    if (home / "rabbitmq").exists():
        shutil.rmtree(home / "rabbitmq")
