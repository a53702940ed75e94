"""Bounds connections: how many there are, and how long a client may keep one waiting.

uvicorn closes a connection that is idle between two requests. It waits forever for the rest of a
request's head, and for a client that does not read its answer.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

#: Connections at the same time.
MOST_CONNECTIONS = 256
#: Seconds in which the head of a request has to arrive, and in which TLS has to begin.
HEAD_WITHIN = 15.0
#: Seconds that a client may read nothing of its answer.
_READS_WITHIN = 30.0


class BoundedLoop(asyncio.SelectorEventLoop):
    """An event loop whose servers do not wait long for the beginning of TLS."""

    async def create_server(self, *arguments: Any, **options: Any) -> asyncio.Server:
        """As of any event loop."""
        if options.get("ssl") is not None:
            options.setdefault("ssl_handshake_timeout", HEAD_WITHIN)
        return await super().create_server(*arguments, **options)


class _Timer:
    """Calls something later, unless it is stopped before.

    Args:
        loop: that calls.
        seconds: until then.
        then: what is called.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, seconds: float, then: Callable[[], None]
    ) -> None:
        self._begin = partial(loop.call_later, seconds, then)
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start, unless it runs."""
        self._handle = self._handle or self._begin()

    def stop(self) -> None:
        """Stop, if it runs."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


class BoundedConnection(H11Protocol):
    """A connection that is closed when its client is too slow.

    When there are too many, a new one takes the place of the one that has waited longest for a
    request: clients that only hold connections keep nobody out.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head_timer = _Timer(self.loop, HEAD_WITHIN, self._abort)
        self._reader_timer = _Timer(self.loop, _READS_WITHIN, self._abort)
        #: Since when it has waited for a request, by the monotonic clock.
        self.since = time.monotonic()

    @property
    def waits_for_request(self) -> bool:
        """Whether no answer is under way; the rest of a body that nobody reads may still come."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is None or cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, in the place of another connection if there is no room."""
        if len(self.connections) >= MOST_CONNECTIONS:
            self._make_room()
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
        else:
            self._head_timer.start()

    def data_received(self, data: bytes) -> None:
        """Take what came; a head that began has to end in time."""
        super().data_received(data)
        if self.waits_for_request:
            self._head_timer.start()
        else:
            self._head_timer.stop()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self.since = time.monotonic()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Wait until the client has read some of its answer, but not forever."""
        super().pause_writing()
        self._reader_timer.start()

    def resume_writing(self) -> None:
        """Go on with the answer."""
        self._reader_timer.stop()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._head_timer.stop()
        self._reader_timer.stop()
        super().connection_lost(exc)

    def _make_room(self) -> None:
        waiting = [
            one
            for one in self.connections
            if isinstance(one, BoundedConnection) and one.waits_for_request
        ]
        if waiting:
            longest = min(waiting, key=lambda one: one.since)
            # Its end is told later; the place is free now.
            self.connections.discard(longest)
            longest.transport.abort()

    def _abort(self) -> None:
        self.transport.abort()
