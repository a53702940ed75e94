"""A TCP forwarder that cuts, tears, stalls and delays connections on demand."""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Self
from urllib.parse import urlsplit

_HOST = "127.0.0.1"
#: Bytes that are forwarded at a time; small, so that frames of any size can be torn.
_PIECE = 16 * 1024
#: SO_LINGER on, with zero seconds: closing then sends a TCP reset instead of FIN.
_RESET = struct.pack("ii", 1, 0)
#: Seconds for a call into the forwarder's thread.
_PATIENCE = 10


class Forwarder:
    """Forwards connections to one server. A context manager; the methods are for other threads.

    Args:
        url: of the server; `self.url` leads to the same server through the forwarder.

    Attributes:
        port: where it listens.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or _HOST, parts.port or 0)
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._latency = 0.0
        self._left: int | None = None
        self._loop = asyncio.new_event_loop()
        self._flows = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_forever, name="forwarder")
        self._thread.start()
        self._server = self._do(asyncio.start_server(self._accept, _HOST, 0))
        self.port: int = self._server.sockets[0].getsockname()[1]
        account = parts.netloc.rpartition("@")[0]
        self.url = parts._replace(netloc=f"{account}@{_HOST}:{self.port}").geturl()
        self.resume()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE)
        self._loop.close()

    @property
    def connections(self) -> int:
        """The number of open connections."""
        return len(self._writers) // 2

    def cut(self) -> None:
        """Reset all connections, and accept new ones."""
        self._call(self._reset)

    def tear(self, after: int) -> None:
        """Forward this many more bytes, of all connections together, then reset them all."""
        self._call(lambda: setattr(self, "_left", after))

    @property
    def torn(self) -> bool:
        """Whether the last `tear` has reset the connections."""
        return self._left is None

    def stall(self) -> None:
        """Accept bytes and forward none: each end sees a peer that is silent."""
        self._call(self._flows.clear)

    def delay(self, seconds: float) -> None:
        """Delay each piece by these seconds, from now on."""
        self._call(lambda: setattr(self, "_latency", seconds))

    def resume(self) -> None:
        """End `stall`, `delay` and `tear`."""

        def clear() -> None:
            self._latency, self._left = 0.0, None
            self._flows.set()

        self._call(clear)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            # The server is away: refuse the connection too.
            writer.transport.abort()
            return
        for end in (writer, far_writer):
            self._writers.add(end)
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.ensure_future(self._pump(source, sink, (writer, far_writer)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        both: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
    ) -> None:
        try:
            while piece := await source.read(_PIECE):
                await self._flows.wait()
                if self._latency:
                    await asyncio.sleep(self._latency)
                torn = self._left is not None and len(piece) > self._left
                sink.write(piece[: self._left] if torn else piece)
                if self._left is not None:
                    self._left -= len(piece)
                await sink.drain()
                if torn:
                    self._left = None
                    self._reset()
        except OSError:
            # One of the ends is gone.
            pass
        finally:
            for end in both:
                self._writers.discard(end)
                # Closing sends the bytes written so far, then the end of the stream.
                end.close()

    def _reset(self) -> None:
        for writer in self._writers:
            line: socket.socket | None = writer.get_extra_info("socket")
            if line is not None and line.fileno() >= 0:
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()

    async def _end(self) -> None:
        self._server.close()
        self._flows.set()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in tuple(self._writers):
            writer.transport.abort()
        await self._server.wait_closed()
        # Aborted transports close their sockets in the loop's next iteration.
        await asyncio.sleep(0)

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE)

    def _call(self, act: Callable[[], object]) -> None:
        async def call() -> None:
            act()

        self._do(call())
