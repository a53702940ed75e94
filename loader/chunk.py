"""A chunk: the SMX that one transaction loads, cut out of the batches they travelled in. Pure."""

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar
from uuid import UUID

from schemas.canonical import read_batch
from schemas.digest import digested
from schemas.errors import Refused
from schemas.plain import Plain, plain
from schemas.report import StateMessage
from schemas.smx import Smx, parse_batch

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
    def plain(self) -> Plain:
        """Its values as text."""
        return plain(self.batch_id, self.smx)

    @property
    def texts(self) -> tuple[str, ...]:
        """Its messages as the digest sees them."""
        return tuple(map(digested, self.messages))

    @property
    def messages(self) -> tuple[StateMessage, ...]:
        """Of its report."""
        return self.smx.report.messages


class _WithTexts(Protocol):
    @property
    def texts(self) -> Sequence[str]: ...


#: How the SMX of a batch are held: as items, or as plain texts.
Held = TypeVar("Held", bound=_WithTexts)


class Divided(NamedTuple, Generic[Held]):
    """Batches as chunks.

    Attributes:
        chunks: none is empty.
        refused: why a body cannot be read, by its place.
    """

    chunks: list[list[Held]]
    refused: dict[int, Refused]


def divide(
    bodies: Sequence[bytes], chunk_bytes: int, read: Callable[[bytes, int], list[Held]]
) -> Divided[Held]:
    """Read batches that were taken together: one chunk, and more for those larger than a chunk.

    Args:
        bodies: batches; those that are no larger than a chunk are together not larger either.
        chunk_bytes: of SMX.
        read: makes the SMX of a body and of its place.
    """
    together: list[Held] = []
    divided: Divided[Held] = Divided([], {})
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
    """The SMX of a batch with the values of their messages.

    Raises:
        Refused: as `parse_batch` does.
    """
    batch = parse_batch(body)
    return [Item(batch.batch_id, smx, origin) for smx in batch.smx]


def read_plain(body: bytes, _origin: int) -> list[Plain]:
    """The SMX of a batch as texts, which is all that rows need.

    Raises:
        Refused: as `parse_batch` does.
    """
    return read_batch(body)


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


def messages_in(chunk: Sequence[_WithTexts]) -> int:
    """How many state messages there are."""
    return sum(len(one.texts) for one in chunk)


def _part(item: Item, messages: tuple[StateMessage, ...]) -> Item:
    smx = item.smx
    return item._replace(smx=smx._replace(report=smx.report._replace(messages=messages)))


def _cut(found: Sequence[Held], chunk_bytes: int) -> list[list[Held]]:
    """Divide a batch that is larger than a chunk into whole SMX, at least one each."""
    chunks: list[list[Held]] = []
    size = chunk_bytes
    for one in found:
        # About its bytes; writing it out to measure would cost, and can fail.
        own = sum(_BARE_MESSAGE + len(text) for text in one.texts)
        if size + own > chunk_bytes:
            chunks.append([])
            size = 0
        chunks[-1].append(one)
        size += own
    return chunks
