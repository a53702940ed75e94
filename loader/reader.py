"""A reader: the process that turns a loader thread's batches into rows.

Parsing in the loader threads would use one processor only, because of Python's interpreter lock.
Besides, a document that crashes the XML parser ends the reader, not the process that holds the
connections.
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

from loader.chunk import Divided, divide, messages_in
from loader.prepare import stage
from runtime.workers.renewal import RENEW_AFTER, run_until_renewal
from schemas.canonical import read_batch
from schemas.errors import StatesysError
from schemas.smx_text import SmxText

#: Readers are forked before there are threads and connections; they share the loader's memory.
_FORK = multiprocessing.get_context("fork")
#: New containers until the garbage collector runs. Reference counts free the rows, and with the
#: default of 700 it ran several times for each chunk.
_COLLECT_AFTER = 100_000
#: Characters of a moment up to its seconds, and to the tenths of them.
_SECONDS, _TENTHS = len("2011-01-07T18:40:30"), len("2011-01-07T18:40:30.6")
#: Seconds to wait for the end of a reader.
_END_TIMEOUT = 5.0


class Rows(NamedTuple):
    """A chunk as rows of the table `stage`.

    Attributes:
        lines: the rows, as `loader.prepare.stage` renders them.
        messages: number of state messages.
        topics: number of state messages by topic type.
        received: number of state messages by the tenth of a second in which a relay received them;
            ISO 8601 in UTC, without a zone.
    """

    lines: bytes
    messages: int
    topics: dict[int, int]
    received: dict[str, int]


def rows_of(chunk: Sequence[SmxText], messages: int) -> Rows:
    """Render a chunk as rows.

    Args:
        chunk: its SMX.
        messages: number of its state messages.
    """
    lines, topics = stage(chunk)
    received: dict[str, int] = {}
    for one in chunk:
        # Text is enough here: a chunk has far fewer such moments than reports.
        at = one.received_at[: _TENTHS if one.received_at[_SECONDS] == "." else _SECONDS]
        received[at] = received.get(at, 0) + len(one.texts)
    return Rows(lines, messages, topics, received)


class Reader:
    """One reader process. It ends when the loader process ends, even if that is killed.

    Attributes:
        chunk_bytes: size limit of a chunk; a larger batch is divided into several chunks.
    """

    def __init__(self, chunk_bytes: int) -> None:
        self.chunk_bytes = chunk_bytes
        self._pipe: Connection | None = None
        self._process: ForkProcess | None = None
        # Held while a batch is read.
        self._reading = threading.Lock()

    def start(self) -> None:
        """Fork the process. Call it before there are threads and connections to be copied."""
        # Made here, so that readers forked earlier hold no copy of our end.
        self._pipe, theirs = _FORK.Pipe()
        process = _FORK.Process(
            target=_serve, args=(self._pipe, theirs, self.chunk_bytes), name="reader"
        )
        process.start()
        self._process = process
        theirs.close()

    def read(self, bodies: Sequence[bytes]) -> Divided[Rows]:
        """Read batches that were taken together.

        Args:
            bodies: the batches.

        Raises:
            StatesysError: the reader process has ended. The batches stay unsettled.
        """
        assert self._pipe is not None
        assert self._process is not None
        with self._reading:
            with suppress(EOFError, OSError):
                self._pipe.send(bodies)
                found = self._pipe.recv()
                assert isinstance(found, Divided)
                return found
            # The refused send is forgotten by now. As the context of this error it would keep its
            # buffer, which Python 3.13 cannot close when it is collected.
            self._process.join(_END_TIMEOUT)
            raise StatesysError(
                f"a process that reads batches for this loader has ended (exit code "
                f"{self._process.exitcode}); start the loader again"
            )

    def close(self) -> None:
        """End the process, if one was started."""
        if self._pipe is None or self._process is None:
            return
        idle = self._reading.acquire(blocking=False)
        if idle:
            with suppress(OSError):
                # Closing the pipe is not enough: readers forked later hold a copy of our end.
                self._pipe.send(None)
        else:
            # It hangs, and the pipe may be full. The kill ends `read` in the waiting thread, too.
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
    # A signal to the whole process group is for the loader. A reader ends when the loader tells it
    # to, or has ended: then the reader forked last finds its pipe closed and ends, which closes its
    # copies of the pipes of the readers before it, and so on.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    # Our copy of the loader's end; while it is open, the pipe never counts as closed.
    parents.close()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)
    while run_until_renewal("reader", lambda: _read_until_renewal(pipe, chunk_bytes)):
        pass


def _read_until_renewal(pipe: Connection, chunk_bytes: int) -> bool:
    """Read until this thread is due for renewal (True) or the reader is to end (False)."""
    read = 0
    while read < RENEW_AFTER:
        try:
            bodies = pipe.recv()
        except (EOFError, ConnectionResetError):
            return False
        if bodies is None:
            return False
        divided = divide(bodies, chunk_bytes, lambda body, _origin: read_batch(body))
        chunks = [rows_of(chunk, messages_in(chunk)) for chunk in divided.chunks]
        try:
            pipe.send(Divided(chunks, divided.refused))
        except BrokenPipeError:
            return False
        read += sum(map(len, bodies))
    return True
