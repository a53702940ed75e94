"""Server-sent events: what pages show live, drawn once for all viewers."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from web.watching import Look, Watching

#: Streams at a time; each costs a connection and no thread.
MOST = 100
#: Seconds after which a comment shows the browser, and what stands between, that we are there.
_HEARTBEAT = 15.0


class _Part(NamedTuple):
    """A part of a page as an event; its number grows with each change."""

    number: int
    html: str
    event: bytes


class Live:
    """The newest drawing of each part, and the streams that carry it.

    A stream that is slow skips drawings; it holds up nobody, and nothing is kept for it.

    Args:
        watching: makes the looks.
        draw: the parts as HTML by name, from a look.
    """

    def __init__(self, watching: Watching, draw: Callable[[Look], Mapping[str, str]]) -> None:
        self._watching = watching
        self._draw = draw
        self._parts: dict[str, _Part] = {}
        self._number = 0
        self._streams = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()
        self._ended = False
        watching.tell(self._on_look)

    @property
    def full(self) -> bool:
        """Whether no stream more is taken."""
        return self._streams >= MOST or self._ended

    @contextmanager
    def stream(self) -> Iterator[AsyncIterator[bytes]]:
        """A stream of events; call it in the event loop, and unless it is `full`."""
        self._loop = asyncio.get_running_loop()
        if not self._streams:
            # Nobody watched for some time.
            self._parts = {}
        self._streams += 1
        try:
            with self._watching.watched():
                yield self._events()
        finally:
            self._streams -= 1

    def end(self) -> None:
        """End all streams; call it in the event loop."""
        self._ended = True
        self._wake()

    async def _events(self) -> AsyncIterator[bytes]:
        # The browser connects again after so many milliseconds.
        yield b"retry: 3000\n\n"
        sent = 0
        while not self._ended:
            changed = self._changed
            # Parts that change while these are sent come with the next turn.
            newer = [part for part in self._parts.values() if part.number > sent]
            for part in newer:
                yield part.event
            sent = max((part.number for part in newer), default=sent)
            try:
                await asyncio.wait_for(changed.wait(), _HEARTBEAT)
            except TimeoutError:
                yield b": still here\n\n"

    def _on_look(self, look: Look) -> None:
        """Draw, in the thread of the looks; the event loop only hands out bytes."""
        loop = self._loop
        if not self._streams or loop is None:
            return
        drawn = self._draw(look)
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._take, drawn)

    def _take(self, drawn: Mapping[str, str]) -> None:
        for name, html in drawn.items():
            before = self._parts.get(name)
            if before is None or before.html != html:
                self._number += 1
                self._parts[name] = _Part(self._number, html, _event(name, html))
        self._wake()

    def _wake(self) -> None:
        woken, self._changed = self._changed, asyncio.Event()
        woken.set()


def _event(name: str, html: str) -> bytes:
    lines = "".join(f"data: {line}\n" for line in html.splitlines())
    return f"event: {name}\n{lines}\n".encode()
