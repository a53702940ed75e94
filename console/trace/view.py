"""Shows a trace to a person: the verdict first, then everything that supports it."""

from collections.abc import Sequence
from datetime import datetime

from rich.console import Console
from rich.text import Text

from console.due import due_words
from console.names import state_name, topic_name
from console.output import facts, moment, table
from console.queries.rows import ClientRow, DueRow, MessageRow, MissingRow, RequestRow
from console.trace.gather import ClientTrace, FleetSide, SerialTrace
from runtime.broker.dead_letters import Letter


def show_serial(trace: SerialTrace, console: Console) -> None:
    """Print what is known of one serial."""
    name = trace.client.name if trace.client is not None else ""
    console.print(Text(f"{name or trace.client_id} serial {trace.serial}: {trace.verdict}"))
    for row in trace.rows:
        console.print(facts(message_facts(row, trace), title="row of the history"))
    _show_letters(trace.letters, console)
    _show_ranges(trace.ranges, console)
    _show_requests(trace.requests, console)
    _show_fleet(trace.fleet, console, serial=trace.serial)


def show_client(trace: ClientTrace, console: Console) -> None:
    """Print a summary of one client."""
    of_client = client_facts(
        trace.client, at=trace.at, condition=trace.condition, due=trace.due, states=trace.states
    )
    console.print(facts(of_client))
    _show_ranges(trace.open_ranges, console)
    _show_requests(trace.requests, console)
    _show_letters(trace.letters, console)
    if trace.messages:
        rows = [
            (
                "-" if row.serial is None else str(row.serial),
                f"{row.topic_type} {topic_name(row.topic_type)}",
                row.topic_id,
                f"{row.state_id} {state_name(row.topic_type, row.state_id)}",
                moment(row.message_time),
                moment(row.loaded_at),
            )
            for row in trace.messages
        ]
        columns = ["serial", "topic", "id", "state", "message time", "loaded"]
        console.print(table(columns, rows, title="last messages", right=["serial"]))
    _show_fleet(trace.fleet, console, serial=None)


def client_facts(
    client: ClientRow, *, at: datetime, condition: str | None, due: DueRow | None, states: int
) -> list[tuple[str, object]]:
    """What the server knows of a client at a moment, by name.

    Args:
        states: number of its current states.
    """
    rows: list[tuple[str, object]] = [
        ("client", client.client_id),
        ("name", client.name),
        ("version", client.version),
        ("condition", condition),
        ("highest serial", str(client.highest_serial)),
        ("resynced below", str(client.resynced_below) if client.resynced_below else "never"),
        ("current states", states),
        ("duplicates", client.duplicates),
        ("superseded", client.superseded),
        ("reply queue", client.reply_queue or "none named: statesys.resync"),
        ("first seen", client.first_seen),
        ("last seen", client.last_seen),
    ]
    if due is not None:
        rows.append(("resync due", f"{due_words(due.at, due.held_by, at)}: {due.reason}"))
    if client.reuse_seen_at is not None:
        rows.append(("serials used twice", f"{client.reused:,}, seen {client.reuse_seen_at}"))
    if client.duplicate_identity_at is not None:
        rows.append(("duplicate identity", client.duplicate_identity_at))
    return rows


def message_facts(row: MessageRow, trace: SerialTrace) -> list[tuple[str, object]]:
    """What the history has of a message, by name."""
    rows: list[tuple[str, object]] = [
        ("topic", f"{row.topic_type} {topic_name(row.topic_type)}"),
        ("topic id", row.topic_id),
        ("state", f"{row.state_id} {state_name(row.topic_type, row.state_id)}"),
        ("message time", row.message_time),
        ("rendered", row.report_date),
        ("forwarded", row.forwarded_at or "not told"),
        ("received", row.received_at),
        ("loaded", row.loaded_at),
        ("SMX", row.smx_id),
        ("batch", row.batch_id),
        ("digest", row.digest.hex()),
    ]
    if trace.fleet is not None and trace.fleet.digest is not None:
        rows.append(("as it was sent", row.digest == trace.fleet.digest))
    if row.reused:
        rows.append(("reused", "another message had this serial before"))
    if row.resync_request_id is not None:
        rows.append(("in the answer to", row.resync_request_id))
    return rows


def closed_words(row: MissingRow | RequestRow) -> str:
    """How and when a range or a request was closed; `open` before that."""
    return "open" if row.closed_at is None else f"{row.closed_how} {moment(row.closed_at)}"


def reason_words(row: RequestRow) -> str:
    """Why a client was asked."""
    return row.reason or "a claim nobody asked for"


def _show_letters(letters: Sequence[Letter] | None, console: Console) -> None:
    if letters is None:
        console.print(Text("dead letters: unknown, the broker is away"))
    elif letters:
        rows = [(le.name, le.stage, le.reason, le.serials, le.detail) for le in letters]
        columns = ["id", "stage", "reason", "serials", "detail"]
        console.print(table(columns, rows, title="dead letters"))


def _show_ranges(ranges: Sequence[MissingRow], console: Console) -> None:
    if ranges:
        rows = [
            (
                f"{row.first_serial}-{row.last_serial}" + (" merged" if row.merged else ""),
                moment(row.detected_at),
                closed_words(row),
            )
            for row in ranges
        ]
        console.print(table(["serials", "detected", "closed"], rows, title="missing ranges"))


def _show_requests(requests: Sequence[RequestRow], console: Console) -> None:
    if requests:
        rows = [
            (
                row.request_id,
                reason_words(row),
                moment(row.requested_at),
                moment(row.sent_at),
                closed_words(row),
                "" if row.first_serial is None else f"{row.first_serial}-{row.last_serial}",
            )
            for row in requests
        ]
        columns = ["request", "reason", "requested", "sent", "closed", "answer in serials"]
        console.print(table(columns, rows, title="resync requests"))


def _show_fleet(fleet: FleetSide | None, console: Console, *, serial: int | None) -> None:
    if fleet is None:
        return
    rows: list[tuple[str, object]] = [("last serial", str(fleet.last_serial))]
    if serial is not None:
        digest = "never numbered" if fleet.digest is None else fleet.digest.hex()
        rows.append(("digest sent", digest))
    rows.append(("in the outbox", "yes" if fleet.in_outbox else "no"))
    rows += (
        (f"fault: {f.fault}", f"serials {f.first_serial}-{f.last_serial}, {moment(f.injected_at)}")
        for f in fleet.faults
    )
    rows += (
        ("answered", f"{a.request_id} in {a.first_serial}-{a.last_serial}") for a in fleet.answers
    )
    console.print(facts(rows, title="the client's own store"))
