"""The history as a person looks through it: by client, or by topic and state within a time.

No search reads the whole history. Each stops at a full page, or after a bounded number of rows, and
then says behind which message the next one goes on.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

from console.queries.query_session import QuerySession, all_of, named_text
from runtime.database import sql

#: Rows that one search reads, about: a tenth of a second.
MOST_READ = 100_000
#: A part of a time is read at once if it has fewer rows.
_SLICE = 20_000
#: Length of the first part. Later ones are longer where little was loaded.
_FIRST = timedelta(seconds=10)
#: What was loaded within so short a time is read at once: a few transactions of loaders.
_SHORTEST = timedelta(milliseconds=1)
_FACTOR = 4
_LAST_SERIAL = 2**63 - 1
#: Behind every digest.
_LAST_DIGEST = b"\xff" * 17


@dataclass(frozen=True, kw_only=True)
class MessageFilter:
    """Which messages are listed; None does not restrict them.

    Attributes:
        only_client: of this client; for a search in time.
        since, until: loaded from this moment on, and before that one.
    """

    topic_type: int | None = None
    topic_id: str | None = None
    state_ids: Sequence[int] | None = None
    only_client: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None

    def parts(self, *names: str) -> dict[str, object]:
        """The values of the restrictions that are given, by name."""
        given = {name: getattr(self, name) for name in names}
        return {name: value for name, value in given.items() if value is not None}


Place = TypeVar("Place", "InTime", "InClient")


class InTime(NamedTuple):
    """A place in the history by its order of loading; a search goes on before it."""

    loaded_at: datetime
    client_id: UUID = UUID(int=0)
    digest: bytes = b""


class InClient(NamedTuple):
    """A place in the messages of a client: numbered ones, the highest first, then the others."""

    serial: int | None
    digest: bytes


class FoundMessage(NamedTuple):
    """A message in a list; `client_name` None: the client was forgotten, its history was not."""

    client_id: UUID
    client_name: str | None
    serial: int | None
    digest: bytes
    topic_type: int
    topic_id: str
    user_name: str
    user_sid: str
    state_id: int
    criticality: int
    message_time: datetime
    received_at: datetime
    loaded_at: datetime
    reused: bool

    @property
    def key(self) -> str:
        """What names it among the messages of its client: its number, if any, and its digest."""
        return f"{'' if self.serial is None else self.serial}-{self.digest.hex()}"


class StoredMessage(NamedTuple):
    """Everything that is kept of a message."""

    client_id: UUID
    client_name: str | None
    serial: int | None
    serial_text: str | None
    digest: bytes
    topic_type: int
    topic_id: str
    id_type: int | None
    user_name: str
    user_sid: str
    state_id: int
    criticality: int
    message_time: datetime
    params: list[str]
    details: str | None
    details_type: str | None
    report_date: datetime
    forwarded_at: datetime | None
    received_at: datetime
    smx_id: UUID
    batch_id: UUID
    reused: bool
    resync_request_id: UUID | None
    loaded_at: datetime


@dataclass(frozen=True)
class Searched(Generic[Place]):
    """What a search found.

    Attributes:
        messages: newest first.
        behind: where the next search goes on; None: there is no more.
        full: the page is full; False: the search stopped at `behind`, or at the end.
    """

    messages: list[FoundMessage]
    behind: Place | None
    full: bool


class MessageQueries(QuerySession):
    """The queries of `messages.sql`."""

    def messages_in_time(
        self,
        chosen: MessageFilter,
        *,
        since: datetime,
        behind: InTime,
        limit: int,
        most_read: int | None = MOST_READ,
    ) -> Searched[InTime]:
        """The messages that were loaded within a time, newest first.

        The time is read in parts, from its end on. A part that has too many rows is cut.

        Args:
            chosen: its own times are not read.
            since: the begin.
            behind: the end, or the last message of the page before.
            most_read: rows after which it stops; None: it reads on.
        """
        where, values = _where(chosen, "topic_type", "topic_id", "state_ids", "only_client")
        query = sql.SQL(named_text("messages_of_slice")).format(where=where)
        found: list[FoundMessage] = []
        end, width, read = InTime(since), _FIRST, 0
        with self._by_index():
            while behind > end and len(found) < limit and (most_read is None or read < most_read):
                part = {"since": _before(behind.loaded_at, width, since), **behind._asdict()}
                (rows,) = self._scalars("rows_of_slice", most=_SLICE, **part)
                if rows >= _SLICE and width > _SHORTEST:
                    # Not counted as read: else a search could stop where it began, for ever.
                    width = max(width / _FACTOR, _SHORTEST)
                    continue
                read += rows
                if rows:
                    part["limit"] = limit - len(found)
                    found += self._rows_of(query, FoundMessage, {**part, **values})
                behind = InTime(part["since"])
                if rows < _SLICE // _FACTOR:
                    width *= _FACTOR
        if len(found) == limit:
            last = found[-1]
            return Searched(found, InTime(last.loaded_at, last.client_id, last.digest), full=True)
        return Searched(found, behind if behind > end else None, full=False)

    def messages_of_client(
        self,
        client_id: UUID,
        chosen: MessageFilter,
        *,
        behind: InClient | None = None,
        limit: int,
    ) -> Searched[InClient]:
        """The messages of a client: numbered ones, the highest first, then the others.

        Args:
            behind: the last message of the page before; None: the first page.
        """
        found: list[FoundMessage] = []
        behind = behind or InClient(_LAST_SERIAL, b"")
        if behind.serial is not None:
            numbered = self._part_of_client(client_id, chosen, behind, limit)
            if numbered.behind is not None:
                return numbered
            found, behind = numbered.messages, InClient(None, _LAST_DIGEST)
        others = self._part_of_client(client_id, chosen, behind, limit - len(found))
        return replace(others, messages=found + others.messages)

    def stored_message(
        self, client_id: UUID, serial: int | None, digest: bytes
    ) -> StoredMessage | None:
        """One message; None when the history does not have it."""
        number = sql.SQL(named_text("unnumbered" if serial is None else "numbered"))
        query = sql.SQL(named_text("stored_message")).format(number=number)
        values = {"client_id": client_id, "serial": serial, "digest": digest}
        found = self._rows_of(query, StoredMessage, values)
        return found[0] if found else None

    @contextmanager
    def _by_index(self) -> Iterator[None]:
        """Inside, an index is used also while PostgreSQL knows nothing of today's rows."""
        with self._session.transaction() as connection:
            connection.execute("SET LOCAL enable_seqscan = off")
            # More processes would read a whole partition sooner, and take their time from loaders.
            connection.execute("SET LOCAL max_parallel_workers_per_gather = 0")
            yield
            connection.execute("SET LOCAL enable_seqscan TO DEFAULT")
            connection.execute("SET LOCAL max_parallel_workers_per_gather TO DEFAULT")

    def _part_of_client(
        self, client_id: UUID, chosen: MessageFilter, behind: InClient, limit: int
    ) -> Searched[InClient]:
        """The numbered messages of a client behind a place, or those without a number."""
        where, values = _where(chosen, "topic_type", "topic_id", "state_ids", "since", "until")
        of = "behind_unnumbered" if behind.serial is None else "behind_number"
        query = sql.SQL(named_text("messages_of_client")).format(
            where=where, behind=sql.SQL(named_text(of))
        )
        most = {"client_id": client_id, "most": MOST_READ // _FACTOR, "limit": limit}
        rows = self._rows_of(query, _looked, {**values, **behind._asdict(), **most})
        found = [row.message for row in rows if row.fits]
        full = len(found) == limit
        stopped = full or any(row.number == most["most"] for row in rows)
        last = rows[-1].message if stopped and rows else None
        place = None if last is None else InClient(last.serial, last.digest)
        return Searched(found, place, full=full)


class _Looked(NamedTuple):
    """A message, whether it fits, and how many were looked at with it."""

    message: FoundMessage
    fits: bool
    number: int


def _looked(*values: Any) -> _Looked:
    *row, fits, number = values
    return _Looked(FoundMessage(*row), fits, number)


def _where(chosen: MessageFilter, *names: str) -> tuple[sql.Composed, dict[str, object]]:
    values = chosen.parts(*names)
    return all_of(f"where_{name}" for name in values), values


def _before(moment: datetime, width: timedelta, since: datetime) -> datetime:
    """A moment less a time, but not before the begin."""
    return moment - width if moment - since > width else since
