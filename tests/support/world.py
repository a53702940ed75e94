"""Reports to load, and the rows of the tables that the law is about."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import psycopg
from hypothesis import strategies as st

from loader.prepare import stage_lines
from loader.store.chunks import ChunkStore, Loaded
from runtime.database.timelines import Timelines
from schemas.report import Claim, Report, StateMessage
from schemas.serials import SerialRanges
from schemas.smx import Envelope, Smx
from schemas.smx_text import smx_text

START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
CLIENT = UUID("11111111-1111-4111-8111-111111111111")


def message(
    serial: int | None,
    *,
    topic: str = "t1",
    state: int = 1,
    topic_type: int = 500,
    minute: int = 0,
    serial_text: str | None = None,
) -> StateMessage:
    return StateMessage(
        serial=serial,
        serial_text=serial_text,
        topic_type=topic_type,
        topic_id=topic,
        id_type=3,
        user_name="",
        user_sid="",
        state_id=state,
        criticality=0,
        message_time=START + timedelta(minutes=minute),
    )


def report(
    *messages: StateMessage,
    client: UUID = CLIENT,
    date: datetime = START,
    claim: Claim | None = None,
) -> Report:
    return Report(client, "PC1", "5.00", date, messages, claim=claim)


def smx(one: Report, *, reply_to: str | None = None, received_at: datetime = START) -> Smx:
    return Smx(Envelope(uuid4(), received_at, reply_to=reply_to), one)


def chunk_store(
    url: str,
    *,
    name: str = "test",
    max_ranges: int = 1000,
    min_missing_age: timedelta = timedelta(hours=48),
    timelines: Timelines | None = None,
) -> ChunkStore:
    """A store with the rules that a loader has by default."""
    return ChunkStore(
        url,
        name=name,
        reuse_tolerance=timedelta(minutes=5),
        max_ranges=max_ranges,
        min_missing_age=min_missing_age,
        timelines=timelines,
    )


def load(store: ChunkStore, *reports: Report, **envelope: Any) -> Loaded:
    """Load some reports as one chunk."""
    return store.load(stage_lines([smx_text(uuid4(), smx(r, **envelope)) for r in reports]))


_WAITING_CHUNKS = (
    "FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
    "AND datname = current_database() AND application_name LIKE 'statesys loader-%%'"
)


class Client(NamedTuple):
    """A row of `client`."""

    highest_serial: int
    accounted: SerialRanges
    resynced_below: int
    reuse_seen: bool
    duplicates: int
    reused: int


@contextmanager
def open_tables(url: str) -> Iterator["Tables"]:
    """Open a connection to read the tables; each query is its own transaction."""
    options = "-c search_path=statesys -c timezone=UTC"
    with psycopg.connect(url, autocommit=True, options=options) as connection:
        yield Tables(connection)


class Tables:
    """The tables of a database."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        # With None, psycopg takes a % in the query literally.
        return self.connection.execute(query, values or None).fetchall()

    def truncate(self) -> None:
        # Not TRUNCATE: with few rows and many partitions, deleting is ten times as fast.
        for table in (
            "client",
            "state_message",
            "current_state",
            "missing_message_range",
            "resync_request",
            "duty",
        ):
            self.connection.execute(f"DELETE FROM {table}")

    def client(self, client_id: UUID = CLIENT) -> Client:
        ((highest, accounted, below, reuse, duplicates, reused),) = self.rows(
            "SELECT highest_serial, accounted, resynced_below, reuse_seen_at, duplicates, reused "
            "FROM client WHERE client_id = %s",
            client_id,
        )
        return Client(highest, ranges(accounted), below, reuse is not None, duplicates, reused)

    def open_ranges(self, client_id: UUID = CLIENT) -> list[tuple[int, int]]:
        return self.rows(
            "SELECT first_serial, last_serial FROM missing_message_range "
            "WHERE client_id = %s AND closed_at IS NULL ORDER BY 1",
            client_id,
        )

    def closed_ranges(self) -> list[tuple[int, int, str]]:
        return self.rows(
            "SELECT first_serial, last_serial, closed_how FROM missing_message_range "
            "WHERE closed_at IS NOT NULL ORDER BY 1"
        )

    def states(self, client_id: UUID = CLIENT) -> dict[str, tuple[int, int | None]]:
        """Topic id -> (state id, serial)."""
        return {
            topic: (state, serial)
            for topic, state, serial in self.rows(
                "SELECT topic_id, state_id, serial FROM current_state WHERE client_id = %s",
                client_id,
            )
        }

    def requests(self) -> list[tuple[Any, ...]]:
        return self.rows(
            "SELECT reason, closed_how, first_serial, last_serial FROM resync_request "
            "ORDER BY requested_at, first_serial"
        )

    def chunk_waits(self) -> bool:
        """Whether a loader thread waits for a row lock."""
        return bool(self.rows(f"SELECT pid {_WAITING_CHUNKS}"))

    def end_waiting_chunks(self) -> None:
        """End the sessions of such threads; that of a killed process would still commit."""
        self.rows(f"SELECT pg_terminate_backend(pid) {_WAITING_CHUNKS}")

    def law(self) -> dict[str, list[tuple[Any, ...]]]:
        """All rows that the law is about."""
        return {
            "clients": self.rows(
                "SELECT client_id, highest_serial, accounted, resynced_below FROM client ORDER BY 1"
            ),
            "open ranges": self.rows(
                "SELECT client_id, first_serial, last_serial FROM missing_message_range "
                "WHERE closed_at IS NULL ORDER BY 1, 2"
            ),
            "current state": self.rows(
                "SELECT client_id, topic_type, topic_id, user_sid, state_id, serial, digest "
                "FROM current_state ORDER BY 1, 2, 3, 4"
            ),
            "history": self.rows(
                "SELECT DISTINCT client_id, serial, digest FROM state_message ORDER BY 1, 2, 3"
            ),
            "stored twice": self.rows(
                "SELECT client_id, serial, digest FROM state_message "
                "GROUP BY 1, 2, 3 HAVING count(*) > 1"
            ),
        }

    def ledger_errors(self) -> list[tuple[Any, ...]]:
        """Clients whose open, unmerged rows are not exactly [1, highest] - accounted."""
        return self.rows(
            "SELECT c.client_id FROM client c LEFT JOIN ("
            "  SELECT client_id, range_agg(int8range(first_serial, last_serial + 1)) AS open"
            "  FROM missing_message_range WHERE closed_at IS NULL AND NOT merged"
            "  GROUP BY client_id) m USING (client_id) "
            "WHERE int8multirange(int8range(1, c.highest_serial + 1)) - c.accounted "
            "   <> coalesce(m.open, '{}')"
        )


def ranges(multirange: Iterable[Any]) -> SerialRanges:
    return SerialRanges((r.lower, r.upper - 1) for r in multirange)


@st.composite
def histories(draw: st.DrawFn) -> list[Report]:
    """Reports of well-behaved clients, in order: ordinary reports and whole-state answers.

    Each serial is given once. Some reports are left out, as if lost, and some messages have no
    serial. An answer has the topics that the client still has at that moment.
    """
    reports: list[Report] = []
    for number in range(draw(st.integers(1, 2))):
        client = UUID(int=number + 1, version=4)
        serial = 0
        for minute in range(draw(st.integers(1, 7))):
            date = START + timedelta(minutes=minute)
            topics = draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=3))
            claim = None
            if draw(st.integers(0, 3)) == 0:
                first, last = serial + 1, serial + 1 + len(topics)
                claim = Claim(uuid4(), first, last)
                parts = [message(first, topic_type=700, topic=str(claim.request_id))]
                parts += [
                    message(first + at, topic=topic, state=draw(st.integers(1, 3)), minute=minute)
                    for at, topic in enumerate(topics, 1)
                ]
                serial = last
                cut = draw(st.integers(1, len(parts)))
                pieces: Sequence[Sequence[StateMessage]] = [parts[:cut], parts[cut:]]
            else:
                messages = []
                for topic in topics:
                    if draw(st.integers(0, 5)) == 0:
                        messages.append(message(None, topic=topic, minute=minute))
                        continue
                    serial += 1
                    state = draw(st.integers(1, 3))
                    messages.append(message(serial, topic=topic, state=state, minute=minute))
                pieces = [messages]
            for piece in pieces:
                arrives = draw(st.integers(0, 3)) > 0
                if piece and arrives:
                    reports.append(report(*piece, client=client, date=date, claim=claim))
    return reports


@st.composite
def deliveries(draw: st.DrawFn, reports: Sequence[Report]) -> list[list[Report]]:
    """The same reports in some order, some of them repeated, in chunks."""
    order = list(draw(st.permutations(reports)))
    repeats = draw(st.lists(st.sampled_from(reports), max_size=3)) if reports else []
    for extra in repeats:
        order.insert(draw(st.integers(0, len(order))), extra)
    chunks: list[list[Report]] = [[]]
    for one in order:
        if draw(st.booleans()) and chunks[-1]:
            chunks.append([])
        chunks[-1].append(one)
    return chunks
