"""Reads something again and again: not too often, and without waiting for a server that hangs."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from time import monotonic
from typing import Generic, TypeVar

from schemas.errors import StatesysError

Read = TypeVar("Read")

#: Reading may take one twentieth of the time.
_SHARE = 0.05
#: Seconds after which it is repeated in any case.
_LONGEST = 20.0
#: Seconds that a refresh waits for a reading while there is an older value, and after which that
#: value counts no more.
_WAIT, _HANGS = 1.0, 10.0


class Reading(Generic[Read]):
    """The newest value, or why there is none.

    Args:
        read: may raise a `StatesysError`. It has a thread to itself, one at a time.
        hangs: what is wrong when it takes too long.
    """

    def __init__(self, read: Callable[[], Read], hangs: StatesysError) -> None:
        self._read = read
        self._hangs = hangs
        self._due = float("-inf")
        self._began = 0.0
        self._running: Future[Read] | None = None
        self._forgotten: Future[Read] | None = None
        self.value: Read | None = None
        self.trouble: StatesysError | None = None

    @property
    def busy(self) -> bool:
        """Whether a reading has not ended."""
        return self._running is not None and not self._running.done()

    def refresh(self) -> None:
        """Read again, if it is time to; call it from one thread."""
        if self._running is None:
            if monotonic() < self._due:
                return
            self._began, self._running = monotonic(), Future()
            # A daemon, so that a server that hangs does not delay the end of the process.
            threading.Thread(target=self._run, args=[self._running], daemon=True).start()
        nothing_yet = self.value is None and self.trouble is None
        if wait([self._running], _HANGS if nothing_yet else _WAIT).not_done:
            if nothing_yet or monotonic() - self._began > _HANGS:
                self.value, self.trouble = None, self._hangs
            return
        reading, self._running = self._running, None
        if reading is self._forgotten:
            # It may have ended hours ago.
            self.refresh()
            return
        try:
            self.value, self.trouble = reading.result(), None
        except StatesysError as error:
            # It is tried again with the next look: that server has no load from us.
            self.value, self.trouble = None, error
        else:
            ended = monotonic()
            self._due = ended + min((ended - self._began) / _SHARE, _LONGEST)

    def forget(self) -> None:
        """Drop what was read, and what is being read: it is too old for what comes next."""
        self.value, self.trouble, self._due = None, None, float("-inf")
        # A reading cannot be stopped, and a refresh begins no other before it has ended.
        self._forgotten = self._running

    def _run(self, running: "Future[Read]") -> None:
        try:
            running.set_result(self._read())
        except BaseException as error:  # noqa: BLE001 (raised in the thread that refreshes)
            running.set_exception(error)
