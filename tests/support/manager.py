"""A service manager, as far as the processes that it started can see: a socket that hears them."""

import socket
from pathlib import Path
from types import TracebackType
from typing import Self


class Manager:
    """Listens at a path; leaving the context closes it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def environment(self, *, watchdog: float) -> dict[str, str]:
        """What it sets for a process that must give a sign of life within these seconds."""
        return {
            "NOTIFY_SOCKET": str(self._path),
            "WATCHDOG_USEC": str(round(watchdog * 1_000_000)),
        }

    def told(self) -> list[dict[str, str]]:
        """What it was told since the last look, in order."""
        found = []
        try:
            while True:
                lines = self._socket.recv(1 << 20).decode().split("\n")
                found.append(dict(line.split("=", 1) for line in lines))
        except BlockingIOError:
            return found
