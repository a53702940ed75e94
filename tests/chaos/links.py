"""The connections between the nodes of a cluster, each through a forwarder.

A node asks its port mapper (epmd) for the port of another node. Here each node has a mapper of
its own, which names the port of a forwarder to the other one.
"""

import random
import socketserver
import struct
import threading
from collections.abc import Mapping, Sequence
from itertools import permutations

from runtime.devserver.ports import HOST
from runtime.devserver.rabbitmq_conf import node_name
from runtime.devserver.registry import Rabbitmq
from tests.chaos.forwarder import Forwarder

# Requests of the EPMD protocol, by their first byte.
_REGISTER, _LOOK_UP, _LIST, _KILL = b"x", b"z", b"n", b"k"


class Links:
    """All connections between some nodes that are not started yet; each can be cut and healed.

    Args:
        brokers: the nodes, each with a mapper port of its own.
    """

    def __init__(self, brokers: Sequence[Rabbitmq]) -> None:
        ports = {one.number: one.distribution_port for one in brokers}
        #: By the numbers of both nodes, the one that connects first.
        self._lines = {
            (here, there): Forwarder(f"erlang://{HOST}:{ports[there]}")
            for here, there in permutations(ports, 2)
        }
        self._mappers = [
            _Mapper(
                one.epmd_port,
                {
                    _short(there): self._lines[one.number, there].port
                    if there != one.number
                    else port
                    for there, port in ports.items()
                },
            )
            for one in brokers
        ]

    def cut(self, number: int, *, silently: bool) -> None:
        """Cut a node off from all others, in both directions, until `heal`.

        Args:
            number: of the node.
            silently: no bytes arrive any more, as when a cable is pulled; otherwise the
                connections are also reset, which both ends notice at once.
        """
        for ends, line in self._lines.items():
            if number in ends:
                line.stall()
                if not silently:
                    line.cut()

    def heal(self) -> None:
        """Let all connections pass again."""
        for line in self._lines.values():
            line.resume()

    def close(self) -> None:
        """End the forwarders and mappers; the second call does nothing."""
        while self._mappers:
            self._mappers.pop().close()
        while self._lines:
            self._lines.popitem()[1].__exit__(None, None, None)


class _Mapper(socketserver.ThreadingTCPServer):
    """A port mapper with fixed answers."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int, ports: Mapping[str, int]) -> None:
        super().__init__((HOST, port), _Answer)
        self.port = port
        self.ports = ports
        #: The nodes that run: each holds a connection.
        self.registered: set[str] = set()
        self._thread = threading.Thread(target=self.serve_forever, name="mapper")
        self._thread.start()

    def close(self) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Answer(socketserver.StreamRequestHandler):
    """One connection to a mapper: one request."""

    server: _Mapper

    def handle(self) -> None:
        head = self.rfile.read(2)
        if len(head) < 2:
            return
        request = self.rfile.read(*struct.unpack(">H", head))
        kind, rest = request[:1], request[1:]
        if kind == _REGISTER:
            # Port, type, protocol, highest and lowest version, length of the name.
            (length,) = struct.unpack_from(">H", rest, 8)
            name = rest[10 : 10 + length].decode()
            self.server.registered.add(name)
            # A new number each time tells processes of the node's earlier lives apart.
            self.wfile.write(struct.pack(">cBI", b"v", 0, random.randrange(4, 2**32)))
            # The node is registered for as long as it holds the connection.
            self.rfile.read(1)
            self.server.registered.discard(name)
        elif kind == _LOOK_UP:
            self.wfile.write(self._found(rest.decode()))
        elif kind == _LIST:
            names = (f"name {n} at port {self.server.ports.get(n, 0)}" for n in self._listed())
            text = "".join(f"{line}\n" for line in names)
            self.wfile.write(struct.pack(">I", self.server.port) + text.encode())
        elif kind == _KILL:
            # It ends with the test.
            self.wfile.write(b"OK")

    def _listed(self) -> list[str]:
        return sorted(self.server.registered)

    def _found(self, name: str) -> bytes:
        port = self.server.ports.get(name)
        if port is None:
            return b"w\x01"
        # A visible node (M), TCP, versions 6 to 5, the name, nothing more.
        short = name.encode()
        head = struct.pack(">cBHcBHHH", b"w", 0, port, b"M", 0, 6, 5, len(short))
        return head + short + struct.pack(">H", 0)


def _short(number: int) -> str:
    return node_name(number).partition("@")[0]
