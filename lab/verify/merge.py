"""Two ordered worlds walked side by side: stores and tables of any size in little memory."""

from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar
from uuid import UUID

T = TypeVar("T")


class ByClient(Generic[T]):
    """A stream that is ordered by client, handed out client by client.

    Args:
        rows: ordered by what `client` tells of them, as PostgreSQL orders uuids.
        client: whose a row is.
    """

    def __init__(self, rows: Iterable[T], client: Callable[[T], UUID]) -> None:
        self._rows = iter(rows)
        self._client = client
        self._next: T | None = None
        self._step()

    def take(self, client_id: UUID) -> Iterator[T]:
        """The rows of a client; rows of clients before it are passed over.

        Clients have to be asked for in ascending order, and each answer has to be read to its
        end before the next question.
        """
        while self._next is not None and self._client(self._next) < client_id:
            self._step()
        while self._next is not None and self._client(self._next) == client_id:
            row = self._next
            self._step()
            yield row

    def _step(self) -> None:
        self._next = next(self._rows, None)
