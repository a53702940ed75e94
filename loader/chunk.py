"""A chunk: the SMX that one transaction loads, cut out of the batches they travelled in. Pure."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from schemas.canonical import read_batch
from schemas.errors import Refused
from schemas.report import StateMessage
from schemas.smx import Smx

#: Bytes of a state message's elements and attributes without its texts.
_BARE_MESSAGE = 250


class Item(NamedTuple):
    """One SMX, or some messages of it.

    Attributes:
        batch_id: of the batch it came in.
        origin: which of the bodies that batch was.
    """

    batch_id: UUID
    smx: Smx
    origin: int = 0

    @property
    def messages(self) -> tuple[StateMessage, ...]:
        """Of its report."""
        return self.smx.report.messages


class Divided(NamedTuple):
    """Batches as chunks.

    Attributes:
        chunks: none is empty.
        refused: why a body cannot be read, by its place.
    """

    chunks: list[list[Item]]
    refused: dict[int, Refused]


def divide(bodies: Sequence[bytes], chunk_bytes: int) -> Divided:
    """Read batches that were taken together: one chunk, and more for those larger than a chunk.

    Args:
        bodies: batches; those that are no larger than a chunk are together not larger either.
        chunk_bytes: of SMX.
    """
    together: list[Item] = []
    divided = Divided([], {})
    for origin, body in enumerate(bodies):
        try:
            batch = read_batch(body)
        except Refused as refusal:
            divided.refused[origin] = refusal
            continue
        items = [Item(batch.batch_id, smx, origin) for smx in batch.smx]
        if len(body) <= chunk_bytes:
            together += items
        else:
            divided.chunks.extend(_cut(items, chunk_bytes))
    if together:
        divided.chunks.insert(0, together)
    return divided


def halves(chunk: Sequence[Item]) -> tuple[Sequence[Item], Sequence[Item]] | None:
    """Divide a chunk in two, in its order; None for a single message."""
    if len(chunk) > 1:
        middle = len(chunk) // 2
        return chunk[:middle], chunk[middle:]
    (item,) = chunk
    middle = len(item.messages) // 2
    if middle == 0:
        return None
    return [_part(item, item.messages[:middle])], [_part(item, item.messages[middle:])]


def messages_in(chunk: Sequence[Item]) -> int:
    """How many state messages there are."""
    return sum(len(item.messages) for item in chunk)


def _part(item: Item, messages: tuple[StateMessage, ...]) -> Item:
    smx = item.smx
    return item._replace(smx=smx._replace(report=smx.report._replace(messages=messages)))


def _cut(items: Sequence[Item], chunk_bytes: int) -> list[list[Item]]:
    """Divide a batch that is larger than a chunk into whole SMX, at least one each."""
    chunks: list[list[Item]] = []
    size = chunk_bytes
    for one in items:
        own = sum(map(_size, one.messages))
        if size + own > chunk_bytes:
            chunks.append([])
            size = 0
        chunks[-1].append(one)
        size += own
    return chunks


def _size(message: StateMessage) -> int:
    """About the bytes of a message as SMX; writing it out to measure would cost, and can fail."""
    return (
        _BARE_MESSAGE
        + len(message.topic_id)
        + len(message.details or "")
        + sum(map(len, message.params))
    )
