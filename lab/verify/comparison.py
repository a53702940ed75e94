"""The promise as a pure function: from the records of a client and of the server to a result.

Every serial that a client gave has one place. The places are tried in this order:

==========  ================================================================================
loaded      a row of the history with the digest that was sent
overtaken   no row; accounted for, and below the start of a completed resync
dead        no row; in a dead letter, with its reason
outbox      no row; still with the client
missing     no row; in an open missing range, so the server knows that it is missing
destroyed   destroyed on its way on purpose, and the server cannot miss it: another message
            arrived under its serial, or it was the end of an earlier life of the client
==========  ================================================================================

A message without a place is unaccounted for, and breaks the promise. A row whose digest differs
from the one sent is altered, and breaks it too, unless it is one of several under a serial that
was used twice.

Serials that the client never gave are skipped. They exist where a resync moved the client's
counter up, because the server knew a higher serial; rows under them come from an earlier life.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, NamedTuple, TypeVar
from uuid import UUID

from schemas.report import STATELESS_TOPICS
from schemas.serials import SerialRanges

#: A client has one state for each (topic type, topic id, user SID).
Topic = tuple[int, str, str]


class Place(StrEnum):
    """Where a serial is."""

    LOADED = "loaded"
    OVERTAKEN = "overtaken"
    DEAD = "dead"
    OUTBOX = "outbox"
    MISSING = "missing"
    UNACCOUNTED = "unaccounted"
    ALTERED = "altered"
    DESTROYED = "destroyed"


class Row(NamedTuple):
    """A row of the history."""

    serial: int
    digest: bytes
    reused: bool = False


class State(NamedTuple):
    """A state: digest and serial of its message.

    In a client's store both are None until the next report: there is nothing to compare yet.
    """

    digest: bytes | None
    serial: int | None


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A client's own records.

    Attributes:
        last_serial: the last it gave; 0 before the first.
        last_serial_now: the last it gave by the time the server's records were read. Messages
            that a running fleet sent in between are newer than `messages`, and not compared.
        messages: digest of every message it numbered, by serial; of the latest life.
        former: messages of earlier lives (or of another machine with its id) whose serials are in
            `messages` again.
        destroyed: messages of both kinds that were destroyed on purpose on their way.
        bygone: those of `destroyed` that belong to earlier lives; no later message reveals them.
        hidden: its store was rolled back on purpose, and every message that shows it was
            destroyed; the server cannot know, so the states may differ.
        outbox: serials that the broker has not confirmed yet.
        states: its state of every topic.
    """

    client_id: UUID
    last_serial: int
    last_serial_now: int
    messages: Mapping[int, bytes]
    outbox: SerialRanges = field(default_factory=SerialRanges)
    states: Mapping[Topic, State]
    former: Sequence[Row] = ()
    destroyed: frozenset[Row] = frozenset()
    bygone: frozenset[Row] = frozenset()
    hidden: bool = False


@dataclass(frozen=True, kw_only=True)
class Received:
    """The server's records of a client; without any argument, of an unknown client.

    Attributes:
        accounted: serials that arrived, or that a resync or a merge wrote off.
        resynced_below: serials below are overtaken by a completed resync.
        missing: the open ranges, merged ones included.
        rows: of the history, by serial.
        states: the current states.
        duplicate_identity: the server reports that two machines share the id, and asks no more.
    """

    resynced_below: int = 0
    accounted: SerialRanges = field(default_factory=SerialRanges)
    missing: SerialRanges = field(default_factory=SerialRanges)
    rows: Sequence[Row] = ()
    states: Mapping[Topic, State] = field(default_factory=dict)
    duplicate_identity: bool = False


@dataclass(frozen=True, kw_only=True)
class ClientResult:
    """The result for one client.

    Attributes:
        places: how many messages are in each place; places without any are left out.
        unaccounted, altered: the serials that break the promise.
        never_sent: serials of rows above the last serial that the client gave.
        differing: topics whose state differs although its message arrived.
        behind: topics whose state differs because its message is not loaded: it is in a dead
            letter, in the outbox or missing.
        equal_states: topics whose states agree.
        reused_rows: rows under serials that were used twice; the history keeps both.
        exempt: why its states are not compared, in words; empty when they are.
    """

    client_id: UUID
    places: Mapping[Place, int]
    unaccounted: tuple[int, ...]
    altered: tuple[int, ...]
    never_sent: tuple[int, ...]
    differing: tuple[Topic, ...]
    behind: tuple[Topic, ...]
    equal_states: int
    reused_rows: int
    exempt: str = ""

    @property
    def holds(self) -> bool:
        """Whether the promise holds for this client, and the server has its states."""
        return not (
            self.unaccounted or self.altered or self.never_sent or self.differing or self.behind
        )


def compare(sent: Sent, received: Received, dead: SerialRanges) -> ClientResult:
    """Look for every message and every state of one client.

    Args:
        dead: serials of the client in dead letters.
    """
    by_serial: dict[int, list[Row]] = {}
    for row in received.rows:
        by_serial.setdefault(row.serial, []).append(row)
    places = {
        message: _place(message, by_serial.get(message.serial, ()), sent, received, dead)
        for message in (*(Row(*both) for both in sent.messages.items()), *sent.former)
    }
    differing, behind, equal = _states(sent, received, places)
    exempt = _exempt(sent, received, differs=bool(differing or behind))
    if exempt:
        differing = behind = ()
    return ClientResult(
        client_id=sent.client_id,
        places=Counter(places.values()),
        unaccounted=tuple(m.serial for m, p in places.items() if p is Place.UNACCOUNTED),
        altered=tuple(m.serial for m, p in places.items() if p is Place.ALTERED),
        never_sent=tuple(sorted(s for s in by_serial if s > sent.last_serial_now)),
        differing=differing,
        behind=behind,
        equal_states=equal,
        reused_rows=sum(row.reused for row in received.rows),
        exempt=exempt,
    )


def _exempt(sent: Sent, received: Received, *, differs: bool) -> str:
    if received.duplicate_identity:
        return "two machines share this id"
    if sent.hidden and differs:
        return "its store was rolled back, and what would have told so was destroyed"
    return ""


def _place(
    message: Row, rows: Sequence[Row], sent: Sent, received: Received, dead: SerialRanges
) -> Place:
    if rows:
        if any(row.digest == message.digest for row in rows):
            return Place.LOADED
        return Place.DESTROYED if message in sent.destroyed else Place.ALTERED
    return _place_without_row(message, sent, received, dead)


def _place_without_row(message: Row, sent: Sent, received: Received, dead: SerialRanges) -> Place:
    serial = message.serial
    if serial < received.resynced_below and serial in received.accounted:
        return Place.OVERTAKEN
    if serial in dead:
        return Place.DEAD
    if serial in sent.outbox:
        return Place.OUTBOX
    if serial in received.missing:
        return Place.MISSING
    return Place.DESTROYED if message in sent.bygone else Place.UNACCOUNTED


def _states(
    sent: Sent, received: Received, places: Mapping[Row, Place]
) -> tuple[tuple[Topic, ...], tuple[Topic, ...], int]:
    """Topics that differ, topics that wait for their message, and how many agree."""
    differing: list[Topic] = []
    behind: list[Topic] = []
    equal = 0
    for topic, own in sent.states.items():
        theirs = received.states.get(topic)
        if topic[0] in STATELESS_TOPICS or own.digest is None or _given_since(theirs, sent):
            continue
        if theirs is not None and theirs.digest == own.digest:
            equal += 1
        elif own.serial is not None and places.get(Row(own.serial, own.digest)) in _WAITING:
            behind.append(topic)
        else:
            differing.append(topic)
    # States that only the server has.
    differing += (
        topic
        for topic, theirs in received.states.items()
        if topic not in sent.states and not _given_since(theirs, sent)
    )
    return tuple(differing), tuple(behind), equal


def _given_since(state: State | None, sent: Sent) -> bool:
    """Whether the client gave the serial of this state after its own records were read."""
    return (
        state is not None
        and state.serial is not None
        and sent.last_serial < state.serial <= sent.last_serial_now
    )


_WAITING = frozenset({Place.DEAD, Place.OUTBOX, Place.MISSING})


T = TypeVar("T")


class ByClient(Generic[T]):
    """A stream of rows that is read client by client.

    Args:
        rows: ordered by their client id, as PostgreSQL orders uuids.
        client: returns the client id of a row.
    """

    def __init__(self, rows: Iterable[T], client: Callable[[T], UUID]) -> None:
        self._rows = iter(rows)
        self._client = client
        self._next: T | None = None
        self._step()

    def take(self, client_id: UUID) -> Iterator[T]:
        """Yield the rows of a client; rows of earlier clients are skipped.

        The caller has to take clients in ascending order, and read each iterator to its end
        before the next call.
        """
        while self._next is not None and self._client(self._next) < client_id:
            self._step()
        while self._next is not None and self._client(self._next) == client_id:
            row = self._next
            self._step()
            yield row

    def _step(self) -> None:
        self._next = next(self._rows, None)
