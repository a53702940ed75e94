"""The HTTP server, which ends live streams before it waits for open requests."""

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from runtime.workers.notify import tell_manager
from web.live import Live


class Server(uvicorn.Server):
    """uvicorn's server.

    Args:
        config: as uvicorn takes it.
        live: its streams would otherwise be open requests for ever.
    """

    def __init__(self, config: uvicorn.Config, live: Live) -> None:
        super().__init__(config)
        self._live = live

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGTERM and Ctrl-C end the server in good order, which is success as for every worker.

        uvicorn itself would raise the signal again at the end.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.handle_exit)
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, then tell a service manager that pages are answered."""
        await super().startup(sockets)
        tell_manager(READY="1", STATUS="answering")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then end as uvicorn does."""
        tell_manager(STOPPING="1", STATUS="stopping")
        self._live.end()
        await super().shutdown(sockets)
