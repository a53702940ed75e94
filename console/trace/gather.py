"""Asks database, dead letters and the client's store about one client."""

from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from console.dead.box import Box
from console.dead.search import ask_broker, letters_of
from console.queries import Queries
from console.queries.rows import ClientRow, DueRow, MessageRow, MissingRow, RequestRow
from console.reading import reading
from producers.store import Answer, InjectedFault, StoreReader
from producers.store.values import OutboxRange
from runtime.broker.dead_letters import Letter
from runtime.options import GivenClient
from runtime.settings import Settings
from schemas.errors import StatesysError


def _as_data(trace: "SerialTrace | ClientTrace") -> dict[str, Any]:
    letters = trace.letters
    told = None if letters is None else [letter.as_data() for letter in letters]
    return {**trace._asdict(), "letters": told}


class FleetSide(NamedTuple):
    """What the client's own store knows.

    Attributes:
        last_serial: the last serial that the client used.
        digest: of the message with the serial; None when there is none.
        in_outbox: the message, or any message of the client, is not confirmed by the broker yet.
        faults: injected into reports that carried the serial, or any serial of the client.
        answers: of the client to resync requests.
    """

    last_serial: int
    digest: bytes | None
    in_outbox: bool
    faults: list[InjectedFault]
    answers: list[Answer]


class SerialTrace(NamedTuple):
    """Everything that is known of one serial.

    Attributes:
        client: None when the server does not know it.
        rows: of the history.
        letters: dead letters that hold it; None when the broker could not be read.
        ranges: missing ranges, open and closed, that include it.
        requests: the client's resync requests that concern it.
    """

    client_id: UUID
    serial: int
    client: ClientRow | None
    rows: list[MessageRow]
    letters: list[Letter] | None
    ranges: list[MissingRow]
    requests: list[RequestRow]
    fleet: FleetSide | None

    @property
    def verdict(self) -> str:
        """Where the message is, in one sentence."""
        if self.rows:
            return self._loaded()
        if self.letters:
            letter = self.letters[0]
            overtaken = "; overtaken by a completed resync" if self._overtaken else ""
            where = f"{letter.reason} at stage {letter.stage}"
            return f"in a dead letter: {where} (id {letter.name}){overtaken}"
        if self.client is not None and self.serial in self.client.accounted:
            return self._written_off(self.client)
        if self.fleet is not None and self.fleet.in_outbox:
            return "in the client's outbox: no broker has confirmed it"
        if any(row.closed_at is None for row in self.ranges):
            return "missing: in an open missing range"
        return self._unknown()

    @property
    def _overtaken(self) -> bool:
        return self.client is not None and self.serial < self.client.resynced_below

    def _written_off(self, client: ClientRow) -> str:
        if self._overtaken:
            return (
                "overtaken: not in the history (it never came, or its partition is gone), and a "
                f"completed resync brought the whole state from serial {client.resynced_below} on"
            )
        if any(row.closed_at is None and row.merged for row in self.ranges):
            return "missing: in an open merged range, which only a resync closes"
        return "accounted for, but no longer in the history (its partition is gone)"

    def _loaded(self) -> str:
        reused = " (the serial was used twice)" if any(row.reused for row in self.rows) else ""
        overtaken = "; a later resync replaced the state" if self._overtaken else ""
        return f"loaded at {self.rows[0].loaded_at.isoformat()}{reused}{overtaken}"

    def _unknown(self) -> str:
        if self.client is None:
            return "never heard of: the server does not know the client"
        if self.serial > self.client.highest_serial:
            return (
                f"never heard of: above the client's highest serial {self.client.highest_serial}"
                ", so not sent yet, on its way, or lost; the next message of the client tells"
            )
        return "unaccounted for: this should not happen; run `statesys verify`"

    def as_data(self) -> dict[str, Any]:
        """For `--json`."""
        return {"verdict": self.verdict, **_as_data(self)}


class ClientTrace(NamedTuple):
    """A summary of one client.

    Attributes:
        at: the moment of `condition` and `due`.
        condition: see the glossary.
        due: whether and when it is asked for a resync; None when there is no cause.
    """

    at: datetime
    client: ClientRow
    condition: str | None
    due: DueRow | None
    open_ranges: list[MissingRow]
    requests: list[RequestRow]
    messages: list[MessageRow]
    states: int
    letters: list[Letter] | None
    fleet: FleetSide | None

    def as_data(self) -> dict[str, Any]:
        """For `--json`."""
        return _as_data(self)


Trace = TypeVar("Trace", SerialTrace, ClientTrace)

#: Messages and requests of a client that are shown.
LATEST = 10
_NAME = "statesys trace"


def trace_serial(
    settings: Settings, given: GivenClient, serial: int, directory: Path | None
) -> SerialTrace:
    """Everything that is known of one serial.

    Args:
        directory: of a fleet's store; None: only the server is asked.
    """
    with reading(Queries, settings, name=_NAME) as queries:
        client_id = queries.client_id_of(given)
        found = serial_of_database(queries, client_id, serial)
    return _completed(found, settings, client_id, serial, directory)


def serial_of_database(queries: Queries, client_id: UUID, serial: int) -> SerialTrace:
    """What the database knows of one serial; neither dead letters nor a fleet are looked at."""
    return SerialTrace(
        client_id=client_id,
        serial=serial,
        client=queries.client(client_id),
        rows=queries.message(client_id, serial),
        letters=None,
        ranges=queries.missing(client_id, serial=serial, closed=True),
        requests=[
            request
            for request in queries.requests(client_id)
            if serial in request.ranges
            or request.closed_at is None
            or (request.first_serial is not None and serial < request.first_serial)
        ],
        fleet=None,
    )


def trace_client(settings: Settings, given: GivenClient, directory: Path | None) -> ClientTrace:
    """A summary of one client.

    Raises:
        StatesysError: the server does not know it.
    """
    with reading(Queries, settings, name=_NAME) as queries, queries.snapshot():
        client = queries.known(given)
        client_id = client.client_id
        found = ClientTrace(
            at=queries.now(),
            client=client,
            condition=queries.condition(client_id),
            due=queries.due(client_id),
            open_ranges=queries.missing(client_id),
            requests=queries.requests(client_id, limit=LATEST),
            messages=queries.last_messages(client_id, limit=LATEST),
            states=queries.changes(client_id).states,
            letters=None,
            fleet=None,
        )
    return _completed(found, settings, client_id, None, directory)


def _completed(
    found: Trace, settings: Settings, client_id: UUID, serial: int | None, directory: Path | None
) -> Trace:
    """A trace with what dead letters and the store of the fleet know, beside the database."""
    return found._replace(
        letters=_letters(settings, client_id, serial),
        fleet=None if directory is None else _fleet(directory, client_id, serial),
    )


def _letters(settings: Settings, client_id: UUID, serial: int | None) -> list[Letter] | None:
    """Dead letters of the client (and the serial), None when the broker cannot be read."""
    found = ask_broker(settings, lambda admin: letters_of(Box(admin).look(), client_id), name=_NAME)
    if found is None:
        return None
    return [one.letter for one in found if serial is None or serial in one.serials]


def _fleet(directory: Path, client_id: UUID, serial: int | None) -> FleetSide:
    """What the client's own store knows.

    Raises:
        StatesysError: the store does not hold the client.
    """

    def concerns(one: InjectedFault | OutboxRange) -> bool:
        of_serial = serial is None or one.first_serial <= serial <= one.last_serial
        return one.client_id == client_id and of_serial

    with StoreReader(directory) as store, store.snapshot():
        own = next((c for c in store.clients() if c.client_id == client_id), None)
        if own is None:
            raise StatesysError(f"the fleet in {directory} does not hold client {client_id}")
        digests = {m.serial: m.digest for m in store.sent(client_id)} if serial else {}
        return FleetSide(
            last_serial=own.last_serial,
            digest=digests.get(serial) if serial else None,
            in_outbox=any(concerns(waiting) for waiting in store.outbox_ranges()),
            faults=[fault for fault in store.injected() if concerns(fault)],
            answers=[
                answer
                for answer in store.answers()
                if answer.client_id == client_id
                and (serial is None or serial <= answer.last_serial)
            ],
        )
