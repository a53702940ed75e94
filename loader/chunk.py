"""Divides batches into chunks: the SMX that one transaction loads. No I/O."""

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar
from uuid import UUID

from schemas.digest import digested
from schemas.errors import Refused
from schemas.report import StateMessage
from schemas.smx import Smx, parse_batch
from schemas.smx_text import SmxText, smx_text

#: Estimated bytes of a state message's markup, that is without the values.
_BARE_MESSAGE = 250


class Item(NamedTuple):
    """One SMX, or some of its messages.

    Attributes:
        batch_id: id of its batch.
        smx: the SMX, with only these messages.
        origin: index of the batch among those taken together.
    """

    batch_id: UUID
    smx: Smx
    origin: int = 0

    @property
    def smx_text(self) -> SmxText:
        """The values of the SMX as text."""
        return smx_text(self.batch_id, self.smx)

    @property
    def texts(self) -> tuple[str, ...]:
        """For each message, the text that its digest is made of."""
        return tuple(map(digested, self.messages))

    @property
    def messages(self) -> tuple[StateMessage, ...]:
        """The messages of its report."""
        return self.smx.report.messages


class _WithTexts(Protocol):
    @property
    def texts(self) -> Sequence[str]: ...


#: An SMX of a batch: an `Item`, or an `SmxText`.
OneSmx = TypeVar("OneSmx", bound=_WithTexts)
Chunk = TypeVar("Chunk")


class Divided(NamedTuple, Generic[Chunk]):
    """Batches, divided into chunks.

    Attributes:
        chunks: in the order of `divide`; each holds at least one SMX.
        refused: index of a body that cannot be read -> the reason.
    """

    chunks: list[Chunk]
    refused: dict[int, Refused]


def divide(
    bodies: Sequence[bytes], chunk_bytes: int, read: Callable[[bytes, int], list[OneSmx]]
) -> Divided[list[OneSmx]]:
    """Read batches that were taken together, and divide them into chunks.

    All batches of up to `chunk_bytes` become the first chunk. Each larger batch becomes chunks of
    its own.

    Args:
        bodies: the batches that one call of `Inbox.take` returned.
        chunk_bytes: size limit for each chunk of a larger batch.
        read: reads the SMX of a body, given the body and its index.
    """
    together: list[OneSmx] = []
    divided: Divided[list[OneSmx]] = Divided([], {})
    for origin, body in enumerate(bodies):
        try:
            found = read(body, origin)
        except Refused as refusal:
            divided.refused[origin] = refusal
            continue
        if len(body) <= chunk_bytes:
            together += found
        else:
            divided.chunks.extend(_cut(found, chunk_bytes))
    if together:
        divided.chunks.insert(0, together)
    return divided


def read_items(body: bytes, origin: int) -> list[Item]:
    """Read the SMX of a batch, with parsed messages.

    Args:
        body: the batch.
        origin: its index among the batches taken together.

    Raises:
        Refused: as `parse_batch`.
    """
    batch = parse_batch(body)
    return [Item(batch.batch_id, smx, origin) for smx in batch.smx]


def halves(chunk: Sequence[Item]) -> tuple[Sequence[Item], Sequence[Item]] | None:
    """Divide a chunk into two halves, in order; return None for a single message."""
    if len(chunk) > 1:
        middle = len(chunk) // 2
        return chunk[:middle], chunk[middle:]
    (item,) = chunk
    middle = len(item.messages) // 2
    if middle == 0:
        return None
    return [_part(item, item.messages[:middle])], [_part(item, item.messages[middle:])]


def messages_in(chunk: Sequence[_WithTexts]) -> int:
    """Return the number of state messages in a chunk."""
    return sum(len(one.texts) for one in chunk)


def _part(item: Item, messages: tuple[StateMessage, ...]) -> Item:
    smx = item.smx
    return item._replace(smx=smx._replace(report=smx.report._replace(messages=messages)))


def _cut(found: Sequence[OneSmx], chunk_bytes: int) -> list[list[OneSmx]]:
    """Divide the SMX of a large batch into chunks of whole SMX, at least one in each."""
    chunks: list[list[OneSmx]] = []
    size = chunk_bytes
    for one in found:
        # An estimate: rendering it to measure its size would take time, and can fail.
        own = sum(_BARE_MESSAGE + len(text) for text in one.texts)
        if size + own > chunk_bytes:
            chunks.append([])
            size = 0
        chunks[-1].append(one)
        size += own
    return chunks
