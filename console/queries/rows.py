"""What the queries return, as values. Moments are aware, UTC."""

from datetime import datetime
from typing import Annotated, NamedTuple
from uuid import UUID

from pydantic import StringConstraints

from schemas.report import MAX_NAME_LENGTH
from schemas.serials import SerialRanges

#: Text as it stands in a table, blanks included: the id of a topic, or a user.
StoredText = Annotated[
    str,
    StringConstraints(strip_whitespace=False, max_length=MAX_NAME_LENGTH, pattern=r"^[^\x00]*$"),
]


class Totals(NamedTuple):
    """Counts over the whole site.

    `clients` to `reply_queues` need a scan of whole tables, so on a large site the loaders keep
    them. The others are counted now.

    Attributes:
        as_of: when a loader counted `clients` to `reply_queues`; None: counted now.
        duplicates, reused: sums of the counters of all clients.
        answered, unanswered: resync requests closed so; overtaken ones count as answered.
        due: clients that a check would ask.
        silent: clients that left three requests unanswered and have sent nothing since.
        duplicate_identities: clients whose id two machines seem to share.
        reply_queues: the queues that clients named for resync requests; at most 100.
        missing_ranges, missing_serials: open ranges, and the serials in them.
        pending: open resync requests.
        unsent: pending ones that are not sent yet; the next is sent at `next_unsent_at`.
        current_states_exact: False means an estimate.
    """

    as_of: datetime | None
    clients: int
    duplicates: int
    reused: int
    answered: int
    unanswered: int
    due: int
    silent: int
    duplicate_identities: int
    reply_queues: list[str]
    missing_ranges: int
    missing_serials: int
    pending: int
    unsent: int
    next_unsent_at: datetime | None
    current_states: int
    current_states_exact: bool


class RulesWritten(NamedTuple):
    """What wrote the site's rules last, who, and when: `origin` as in `runtime.site_settings`."""

    origin: str
    written_by: str
    written_at: datetime


class LoaderRow(NamedTuple):
    """A loader that runs; `rules` are those that its next start would make the site's, as text."""

    name: str
    rules: dict[str, str]
    started_at: datetime
    seen_at: datetime


class DueRow(NamedTuple):
    """Whether and when a client is asked for its state.

    Attributes:
        since: when the cause arose.
        at: from this moment on a check asks; None when time alone does not make the client due.
        held_by: why the client is not asked yet; None once it is due.
    """

    reason: str
    since: datetime
    at: datetime | None
    held_by: str | None


class QueueTime(NamedTuple):
    """Times from received to loaded, in seconds, over the latest messages; None without any."""

    messages: int
    p50: float | None
    p95: float | None
    last_loaded: datetime | None


class ClientRow(NamedTuple):
    """A client as the server knows it."""

    client_id: UUID
    name: str
    version: str
    highest_serial: int
    accounted: SerialRanges
    resynced_below: int
    reuse_seen_at: datetime | None
    duplicate_identity_at: datetime | None
    reply_queue: str | None
    first_seen: datetime
    last_seen: datetime | None
    last_message_time: datetime | None
    duplicates: int
    superseded: int
    reused: int


class MessageRow(NamedTuple):
    """One row of the history, without its details."""

    serial: int | None
    serial_text: str | None
    digest: bytes
    topic_type: int
    topic_id: str
    user_sid: str
    state_id: int
    criticality: int
    message_time: datetime
    report_date: datetime
    forwarded_at: datetime | None
    received_at: datetime
    smx_id: UUID
    batch_id: UUID
    reused: bool
    resync_request_id: UUID | None
    loaded_at: datetime


class StateRow(NamedTuple):
    """One current state of a client."""

    topic_type: int
    topic_id: str
    user_sid: str
    state_id: int
    criticality: int
    serial: int | None
    message_time: datetime
    digest: bytes
    params: list[str]
    details: str | None


class MissingRow(NamedTuple):
    """A missing range, open or closed, with the client's newest and next resync request.

    Attributes:
        asked_at: when the newest request was made, None when there is none.
        ask_closed_how: None while that request is open.
        due_reason, due_since, due_at, held_by: as in `DueRow`; None for a closed range.
        range_id: tells apart the ranges of one client.
    """

    client_id: UUID
    client_name: str
    first_serial: int
    last_serial: int
    merged: bool
    detected_at: datetime
    closed_at: datetime | None
    closed_how: str | None
    asked_at: datetime | None
    ask_sent_at: datetime | None
    ask_closed_how: str | None
    due_reason: str | None
    due_since: datetime | None
    due_at: datetime | None
    held_by: str | None
    range_id: int


class RequestRow(NamedTuple):
    """A resync request, or a claim without one (`reason` None)."""

    request_id: UUID
    reason: str | None
    ranges: SerialRanges
    highest_serial: int
    requested_at: datetime | None
    sent_at: datetime | None
    closed_at: datetime | None
    closed_how: str | None
    first_serial: int | None
    last_serial: int | None
    attempts: int


class HistoryRow(NamedTuple):
    """The values of a row of the history that `verify` needs."""

    client_id: UUID
    serial: int
    digest: bytes
    reused: bool


class CurrentRow(NamedTuple):
    """The values of a current state that `verify` needs."""

    client_id: UUID
    topic_type: int
    topic_id: str
    user_sid: str
    serial: int | None
    digest: bytes


class AccountRow(NamedTuple):
    """The values of a client that `verify` needs."""

    client_id: UUID
    resynced_below: int
    accounted: SerialRanges
    missing: SerialRanges
    duplicate_identity: bool


class Arrival(NamedTuple):
    """How far the server is: sum of all highest serials, numbers of open ranges and requests."""

    highest_serials: int
    open_ranges: int
    open_requests: int


class ClosingCounts(NamedTuple):
    """What a demo left in the database.

    Attributes:
        loaded: state messages in the history.
        duplicates: messages that arrived again.
        ranges_opened, ranges_closed: missing ranges; a range that was only late leaves no row.
        requested, answered: resync requests.
    """

    loaded: int
    duplicates: int
    ranges_opened: int
    ranges_closed: int
    requested: int
    answered: int
