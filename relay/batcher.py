"""Batching: which SMX travel together. Pure; time comes in as a value."""

from typing import NamedTuple
from uuid import UUID, uuid4

from schemas.report import Lane
from schemas.smx import render_batch


class Closed(NamedTuple):
    """A batch that is complete.

    Attributes:
        tags: delivery tags of the reports in it.
        body: the rendered batch.
        messages: state messages in it.
        canonical: reports in it that went the short way.
    """

    batch_id: UUID
    lane: Lane
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
    """Collects SMX by lane.

    Args:
        relay: name written into the batches.
        max_bytes: a batch is closed before it grows larger; a larger SMX travels alone.
        linger: seconds that the first SMX of a batch waits for others.
    """

    def __init__(self, relay: str, *, max_bytes: int, linger: float) -> None:
        self._relay = relay
        self._max_bytes = max_bytes
        self._linger = linger
        self._open: dict[Lane, _Open] = {}

    def add(
        self,
        lane: Lane,
        tag: int,
        smx: bytes,
        messages: int,
        now: float,
        *,
        canonical: bool = False,
    ) -> Closed | None:
        """Add one SMX; the batch it did not fit into, if there was one.

        Args:
            tag: of the delivery.
            smx: rendered.
            messages: state messages in it.
            now: seconds, monotonic.
            canonical: these stand before the others in their batch. A loader reads a batch the
                short way up to the first that has another shape.
        """
        open_batch = self._open.get(lane)
        full = None
        if open_batch is not None and open_batch.bytes + len(smx) > self._max_bytes:
            full = self._close(lane)
            open_batch = None
        if open_batch is None:
            open_batch = self._open[lane] = _Open(now)
        open_batch.tags.append(tag)
        (open_batch.canonical if canonical else open_batch.others).append(smx)
        open_batch.bytes += len(smx)
        open_batch.messages += messages
        return full

    def overdue(self, now: float) -> list[Closed]:
        """Close the batches that have lingered long enough."""
        due = [lane for lane, b in self._open.items() if now - b.since >= self._linger]
        return [self._close(lane) for lane in due]

    def close_all(self) -> list[Closed]:
        """Close everything."""
        return [self._close(lane) for lane in list(self._open)]

    def wait(self, now: float) -> float | None:
        """Seconds until the next batch is overdue; None when none is open."""
        if not self._open:
            return None
        return max(0.0, min(b.since for b in self._open.values()) + self._linger - now)

    def _close(self, lane: Lane) -> Closed:
        found = self._open.pop(lane)
        batch_id = uuid4()
        return Closed(
            batch_id,
            lane,
            tuple(found.tags),
            render_batch(batch_id, self._relay, found.canonical + found.others),
            found.messages,
            len(found.canonical),
        )
