"""A reader: the process that turns a loader thread's batches into rows.

Threads of one process take turns at Python's interpreter lock, so however many there were, only
one of them would read. And what a document does to the XML parser happens away from the process
that holds everything else.
"""

import gc
import multiprocessing
import signal
import threading
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from typing import NamedTuple

from loader.chunk import divide, messages_in, read_plain
from loader.prepare import stage_lines
from runtime.workers.renewal import RENEW_AFTER, run_until_renewal
from schemas.errors import Refused, StatesysError

#: Without threads and connections a process can simply be doubled, and shares its memory.
_FORK = multiprocessing.get_context("fork")
#: Containers made before the garbage collector looks through them: rows die by themselves, and the
#: default of 700 made it look several times at each chunk.
_COLLECT_AFTER = 100_000
#: Seconds to end in.
_END_TIMEOUT = 5.0


class Rows(NamedTuple):
    """A chunk as rows of the stage, with the number of its messages."""

    lines: bytes
    messages: int


class Read(NamedTuple):
    """What became of batches.

    Attributes:
        chunks: in the order of `loader.chunk.divide`.
        refused: why a body cannot be read, by its place.
    """

    chunks: list[Rows]
    refused: dict[int, Refused]


class Reader:
    """One reading process. It ends with the process that started it, however that ends.

    Attributes:
        chunk_bytes: of SMX; a batch that is larger becomes several chunks.
    """

    def __init__(self, chunk_bytes: int) -> None:
        self.chunk_bytes = chunk_bytes
        self._pipe: Connection | None = None
        self._process: ForkProcess | None = None
        # Held while a batch is read.
        self._reading = threading.Lock()

    def start(self) -> None:
        """Fork. Call it before there are threads and connections, which must not be doubled."""
        # Made here and not before: a process that began earlier must not have our end of it.
        self._pipe, theirs = _FORK.Pipe()
        process = _FORK.Process(
            target=_serve, args=(self._pipe, theirs, self.chunk_bytes), name="reader"
        )
        process.start()
        self._process = process
        theirs.close()

    def read(self, bodies: Sequence[bytes]) -> Read:
        """Read batches that were taken together.

        Raises:
            StatesysError: the process is gone; what was in hand comes again.
        """
        assert self._pipe is not None
        assert self._process is not None
        with self._reading:
            try:
                self._pipe.send(bodies)
                found = self._pipe.recv()
            except (EOFError, OSError):
                self._process.join(_END_TIMEOUT)
                raise StatesysError(
                    f"a process that reads batches for this loader has ended (exit code "
                    f"{self._process.exitcode}); start the loader again"
                ) from None
        assert isinstance(found, Read)
        return found

    def close(self) -> None:
        """End the process; nothing where none was started."""
        if self._pipe is None or self._process is None:
            return
        idle = self._reading.acquire(blocking=False)
        if idle:
            with suppress(OSError):
                # Not by closing the pipe: processes that began later have a copy of our end.
                self._pipe.send(None)
        else:
            # It hangs, and the pipe may be full. Whoever waits for it hears that it has ended.
            self._process.kill()
            idle = self._reading.acquire(timeout=_END_TIMEOUT)
        self._pipe.close()
        if idle:
            self._reading.release()
        self._process.join(_END_TIMEOUT)
        if self._process.is_alive():
            self._process.kill()
            self._process.join(_END_TIMEOUT)


def _serve(parents: Connection, pipe: Connection, chunk_bytes: int) -> None:
    # Whoever stops a whole group of processes means the loader; we end when it says so, or when
    # it is gone: the process that began last sees its pipe end then, and so on to the first.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    # Our copy of the other end, or the pipe would never be at its end.
    parents.close()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)
    while run_until_renewal("reader", lambda: _read_until_renewal(pipe, chunk_bytes)):
        pass


def _read_until_renewal(pipe: Connection, chunk_bytes: int) -> bool:
    """Read until this thread has read enough: whether there may be more."""
    read = 0
    while read < RENEW_AFTER:
        try:
            bodies = pipe.recv()
        except (EOFError, ConnectionResetError):
            return False
        if bodies is None:
            return False
        divided = divide(bodies, chunk_bytes, read_plain)
        chunks = [Rows(stage_lines(chunk), messages_in(chunk)) for chunk in divided.chunks]
        try:
            pipe.send(Read(chunks, divided.refused))
        except BrokenPipeError:
            return False
        read += sum(map(len, bodies))
    return True
