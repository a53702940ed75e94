"""One private RabbitMQ: the distribution's start script with a configuration of its own.

It has its own node name, ports, cookie, data, logs and configuration, all given through the
environment, and binds everything to 127.0.0.1. It shares nothing with a system-wide RabbitMQ.
"""

import base64
import json
import os
import shlex
import signal
import socket
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from runtime.devserver import epmd, ports, processes, programs
from runtime.devserver.errors import ServicesError
from runtime.devserver.place import Account
from runtime.devserver.processes import tail, until
from runtime.devserver.rabbitmq_conf import configuration, node_name
from runtime.devserver.rabbitmq_plugins import link_plugins
from runtime.devserver.registry import NAME, Rabbitmq
from runtime.files import directory, write_private
from runtime.process_identity import Process, alive

# Seconds; quorum queues flush at the end.
STOP = 60

# Beside the broker itself.
_PLUGINS = ("rabbitmq_management", "rabbitmq_consistent_hash_exchange")

# Variables in a running broker's environment that show which home it belongs to.
_PID_FILE = "RABBITMQ_PID_FILE"
_MAPPER_PORT = "ERL_EPMD_PORT"


def base(home: Path, number: int) -> Path:
    """The directory of one broker's files; the first one's is that of a broker alone."""
    return home / ("rabbitmq" if number == 1 else f"rabbitmq-{number}")


class Server:
    """One private RabbitMQ; starting and stopping it twice is harmless.

    Args:
        home: of all servers.
        service: its ports and passwords.
        nodes: how many brokers the cluster has; 1 is a broker alone.

    Attributes:
        data: the directory of its database and messages.
    """

    def __init__(self, home: Path, service: Rabbitmq, *, nodes: int = 1) -> None:
        """Keep the arguments; nothing is started."""
        self._base = base(home, service.number)
        self._service = service
        self._nodes = nodes
        self._name = node_name(service.number)
        self.data = self._base / "data"

    @property
    def has_data(self) -> bool:
        """Whether it was started before."""
        return self.data.is_dir() and any(self.data.iterdir())

    def require_startable(self) -> None:
        """Check what a start needs; a broker that uses this data and is not recorded is stopped.

        Raises:
            ServicesError: it is not installed, a port is taken, or that broker does not stop.
        """
        programs.rabbitmq_server()
        self.stop(None)
        service = self._service
        ports.require_free(service.amqp_port, purpose="RabbitMQ, AMQP")
        ports.require_free(service.management_port, purpose="RabbitMQ, management")
        ports.require_free(service.distribution_port, purpose="RabbitMQ, Erlang distribution")
        epmd.require_port(service.epmd_port)

    def launch(self, write_down: Callable[[Process], None]) -> Process:
        """Start it without waiting.

        Args:
            write_down: records the process, before the server starts in it.

        Raises:
            ServicesError: its log cannot be written.
        """
        script = programs.rabbitmq_server()
        self._configure(script)
        # It has the pid of an old process, and the new one may get that pid by accident.
        self._pid_file.unlink(missing_ok=True)
        return processes.spawn(
            [str(script)],
            account=Account(),
            env=self._environment(script),
            cwd=self._base,
            output=self._output,
            write_down=write_down,
        )

    def answers(self) -> bool:
        """Whether it answers on both ports."""
        return self._speaks_amqp() and self._asked("whoami") is not None

    def failure(self) -> ServicesError:
        """The error when it did not come up, with the end of its log."""
        return ServicesError(f"RabbitMQ did not come up\n{tail(*self._logs)}")

    def stop(self, known: Process | None, *, flush: bool = True) -> bool:
        """End the broker.

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
        process = self.process(known)
        if process is not None:
            if flush:
                self._end(process)
            else:
                self._kill()
        return process is not None

    def process(self, known: Process | None) -> Process | None:
        """The recorded process if it runs, else an unrecorded one that uses this data."""
        return known if alive(known) else self._stray()

    def mapper_port(self, process: Process | None) -> int:
        """The port of its port mapper; a running broker may have another than the recorded one."""
        found = {} if process is None else processes.environment(process)
        return int(found.get(_MAPPER_PORT, self._service.epmd_port))

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
            until(lambda: not alive(process), seconds=1)
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
        return self._output, self._base / "log" / f"{self._name}.log"

    @property
    def _home(self) -> Path:
        """What the start script takes for the installation's directory, to look for plugins."""
        return self._base / "home"

    def _configure(self, script: Path) -> None:
        directory(self._base)
        directory(self._home)
        directory(self._base / "log")
        text = configuration(self._service, nodes=self._nodes)
        write_private(self._base / "rabbitmq.conf", text)
        write_private(self._base / "enabled_plugins", f"[{','.join(_PLUGINS)}].\n")
        # Read by the start script; without it, that of the system-wide broker would be.
        linked = link_plugins(script, self._home / "plugins", enabled=_PLUGINS)
        home = f"RABBITMQ_HOME={shlex.quote(str(self._home))}\n" if linked else ""
        write_private(self._base / "rabbitmq-env.conf", home)
        # Erlang requires that only the owner can read it.
        write_private(self._base / ".erlang.cookie", self._service.cookie, mode=0o400)

    def _environment(self, script: Path) -> dict[str, str]:
        """Its complete environment, without ours: RABBITMQ_* there are for another broker."""
        here, service = self._base, self._service
        return {
            # The script calls dirname, readlink and erl.
            "PATH": os.pathsep.join([os.environ.get("PATH", os.defpath), str(script.parent)]),
            "LANG": "C.UTF-8",
            "HOME": str(here),  # the cookie's place
            "ERL_EPMD_ADDRESS": ports.HOST,
            _MAPPER_PORT: str(service.epmd_port),
            "RABBITMQ_NODENAME": self._name,
            "RABBITMQ_DIST_PORT": str(service.distribution_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ("-kernel inet_dist_use_interface {127,0,0,1}"),
            "RABBITMQ_MNESIA_BASE": str(self.data),
            "RABBITMQ_LOG_BASE": str(here / "log"),
            "RABBITMQ_PLUGINS_EXPAND_DIR": str(here / "plugins"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(here / "enabled_plugins"),
            "RABBITMQ_CONFIG_FILE": str(here / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(here / "advanced.config"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(here / "generated"),
            _PID_FILE: str(self._pid_file),
            "RABBITMQ_CONF_ENV_FILE": str(here / "rabbitmq-env.conf"),
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

    def members(self) -> int:
        """How many running nodes its cluster has; 0 when it does not say."""
        return sum(bool(node["running"]) for node in self._asked("nodes") or [])

    def _asked(self, what: str) -> Any:
        """The management API's answer; None when there is none, or it refuses our password."""
        secret = base64.b64encode(f"{NAME}:{self._service.password}".encode()).decode()
        request = urllib.request.Request(
            f"http://{ports.HOST}:{self._service.management_port}/api/{what}",
            headers={"Authorization": f"Basic {secret}"},
        )
        # No proxy: the environment's proxy is not for local addresses.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=5) as answer:
                return json.load(answer)
        except (OSError, ValueError):
            return None
