"""What is known of a serial, and of a client."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from console.queries.rows import ClientRow, DueRow, MessageRow, MissingRow, RequestRow
from producers.store import Answer, InjectedFault
from runtime.broker.dead_letters import Letter


class FleetSide(NamedTuple):
    """What the client's own store knows.

    Attributes:
        last_serial: the last it gave.
        digest: of the message under the serial; None when it never numbered one.
        in_outbox: no broker has confirmed it.
        faults: done on purpose to reports that carried it.
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
        client: None when the server never heard of it.
        rows: of the history.
        letters: dead letters that hold it; None when the broker was not to be reached.
        ranges: missing ranges that hold or held it.
        requests: the client's resync requests.
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
        """Where it is, in one sentence."""
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
                "overtaken: never received, but a completed resync brought the whole state "
                f"from serial {client.resynced_below} on"
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
        data = self._asdict()
        letters = self.letters
        data["letters"] = None if letters is None else [letter.as_data() for letter in letters]
        return {"verdict": self.verdict, **data}


class ClientTrace(NamedTuple):
    """A summary of one client.

    Attributes:
        at: the moment of `condition` and `due`.
        condition: what is the matter with it.
        due: whether and when it is asked; None when there is no cause.
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
        data = self._asdict()
        letters = self.letters
        data["letters"] = None if letters is None else [letter.as_data() for letter in letters]
        return data
