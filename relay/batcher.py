"""Collects SMX into batches. No I/O; callers pass the time."""

from typing import NamedTuple
from uuid import UUID, uuid4

from schemas.smx import render_batch


class Closed(NamedTuple):
    """A complete batch.

    Attributes:
        queue: where it goes.
        tags: delivery tags of its reports.
        body: the rendered batch.
        messages: number of its state messages.
        canonical: number of its reports that are in canonical form.
    """

    batch_id: UUID
    queue: str
    tags: tuple[int, ...]
    body: bytes
    messages: int
    canonical: int


class _Open:
    def __init__(self, now: float) -> None:
        self.since = now
        self.tags: list[int] = []
        self.canonical: list[bytes] = []
        self.others: list[bytes] = []
        self.bytes = 0
        self.messages = 0


class Batcher:
    """Collects SMX by the queue that their batch goes to.

    Args:
        relay: name of the relay, written into the batches.
        max_bytes: size limit of the SMX in a batch; a larger SMX gets a batch of its own.
        linger: seconds that the first SMX of a batch waits for others.
    """

    def __init__(self, relay: str, *, max_bytes: int, linger: float) -> None:
        self._relay = relay
        self._max_bytes = max_bytes
        self._linger = linger
        self._open: dict[str, _Open] = {}

    def add(
        self,
        queue: str,
        tag: int,
        smx: bytes,
        messages: int,
        now: float,
        *,
        canonical: bool = False,
    ) -> Closed | None:
        """Add one SMX to the open batch of its queue.

        Args:
            queue: where the report goes.
            tag: delivery tag of the report.
            smx: the rendered SMX.
            messages: number of its state messages.
            now: seconds, monotonic.
            canonical: whether the report is in canonical form. These come first in a batch,
                because a loader uses the fast parser only up to the first report in another form.

        Returns:
            The batch that was closed because the SMX did not fit into it, else None.
        """
        open_batch = self._open.get(queue)
        full = None
        if open_batch is not None and open_batch.bytes + len(smx) > self._max_bytes:
            full = self._close(queue)
            open_batch = None
        if open_batch is None:
            open_batch = self._open[queue] = _Open(now)
        open_batch.tags.append(tag)
        (open_batch.canonical if canonical else open_batch.others).append(smx)
        open_batch.bytes += len(smx)
        open_batch.messages += messages
        return full

    def overdue(self, now: float) -> list[Closed]:
        """Close and return the batches whose linger time is over; `now` in seconds, monotonic."""
        due = [queue for queue, b in self._open.items() if now - b.since >= self._linger]
        return [self._close(queue) for queue in due]

    def close_all(self) -> list[Closed]:
        """Close and return all open batches."""
        return [self._close(queue) for queue in list(self._open)]

    def wait(self, now: float) -> float | None:
        """Return the seconds until the next batch is overdue; None if no batch is open."""
        if not self._open:
            return None
        return max(0.0, min(b.since for b in self._open.values()) + self._linger - now)

    def _close(self, queue: str) -> Closed:
        found = self._open.pop(queue)
        batch_id = uuid4()
        return Closed(
            batch_id,
            queue,
            tuple(found.tags),
            render_batch(batch_id, self._relay, found.canonical + found.others),
            found.messages,
            len(found.canonical),
        )
