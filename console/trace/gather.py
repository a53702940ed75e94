"""Asks database, dead letters and the client's store about one client."""

from pathlib import Path
from uuid import UUID

from console.dead.box import Box
from console.dead.contents import contents
from console.queries import Queries
from console.trace.values import ClientTrace, FleetSide, SerialTrace
from producers.store import open_store
from runtime.broker import Administration
from runtime.broker.dead_letters import Letter
from runtime.settings import Settings
from schemas.errors import BrokerUnavailable, PermissionMissing, SettingsError, StatesysError

#: Messages and requests of a client that are shown.
LATEST = 10
_NAME = "statesys trace"


def trace_serial(
    settings: Settings, client_id: UUID, serial: int, directory: Path | None
) -> SerialTrace:
    """Everything that is known of one serial.

    Args:
        directory: of a fleet's store; None asks the server only.
    """
    with Queries.open(settings.required_database_url(), name=_NAME) as queries:
        client = queries.client(client_id)
        rows = queries.message(client_id, serial)
        ranges = queries.missing(client_id, closed=True)
        requests = queries.requests(client_id)
    return SerialTrace(
        client_id=client_id,
        serial=serial,
        client=client,
        rows=rows,
        letters=_letters(settings, client_id, serial),
        ranges=[row for row in ranges if row.first_serial <= serial <= row.last_serial],
        requests=[
            request
            for request in requests
            if serial in request.ranges
            or request.closed_at is None
            or (request.first_serial is not None and serial < request.first_serial)
        ],
        fleet=None if directory is None else _fleet(directory, client_id, serial),
    )


def trace_client(settings: Settings, client_id: UUID, directory: Path | None) -> ClientTrace:
    """A summary of one client.

    Raises:
        StatesysError: the server never heard of it.
    """
    with Queries.open(settings.required_database_url(), name=_NAME) as queries:
        client = queries.known_client(client_id)
        now, rules = queries.now(), queries.rules()
        return ClientTrace(
            at=now,
            client=client,
            condition=queries.condition(client_id, now=now, rules=rules),
            due=queries.due(client_id, now=now, rules=rules),
            open_ranges=queries.missing(client_id),
            requests=queries.requests(client_id, limit=LATEST),
            messages=queries.last_messages(client_id, limit=LATEST),
            states=len(queries.states(client_id)),
            letters=_letters(settings, client_id, None),
            fleet=None if directory is None else _fleet(directory, client_id, None),
        )


def _letters(settings: Settings, client_id: UUID, serial: int | None) -> list[Letter] | None:
    """Dead letters of the client (and the serial), None without a broker."""
    try:
        with Administration(settings.required_amqp_url(), name=_NAME) as admin:
            return [
                letter
                for letter, delivery in Box(admin).look()
                if any(
                    content.client_id == client_id
                    and (serial is None or content.first_serial <= serial <= content.last_serial)
                    for content in contents(letter, delivery)
                )
            ]
    except (BrokerUnavailable, PermissionMissing, SettingsError):
        return None


def _fleet(directory: Path, client_id: UUID, serial: int | None) -> FleetSide:
    """The client's own side.

    Raises:
        StatesysError: the store does not hold the client.
    """
    with open_store(directory) as store, store.snapshot():
        own = next((c for c in store.clients() if c.client_id == client_id), None)
        if own is None:
            raise StatesysError(f"the fleet in {directory} does not hold client {client_id}")
        digests = {m.serial: m.digest for m in store.sent(client_id)} if serial else {}
        return FleetSide(
            last_serial=own.last_serial,
            digest=digests.get(serial) if serial else None,
            in_outbox=any(
                waiting.client_id == client_id
                and (serial is None or waiting.first_serial <= serial <= waiting.last_serial)
                for waiting in store.outbox_ranges()
            ),
            faults=[
                fault
                for fault in store.injected()
                if fault.client_id == client_id
                and (serial is None or fault.first_serial <= serial <= fault.last_serial)
            ],
            answers=[
                answer
                for answer in store.answers()
                if answer.client_id == client_id
                and (serial is None or serial <= answer.last_serial)
            ],
        )
