"""Pages of what is known of one client; the SQL is `one_client.sql`."""

from datetime import UTC, datetime
from typing import Annotated, NamedTuple
from uuid import UUID

from pydantic import Field

from console.queries.query_session import QuerySession, named_text
from console.queries.rows import StateRow, StoredText
from runtime.database import sql

#: Messages of a client that one page with changes only examines, and those before them that tell
#: whether these are changes. Reading as many takes PostgreSQL some hundredths of a second.
EXAMINED, BEFORE = 5_000, 5_000
#: Messages of a client among which reused serials are looked for.
_RECENT = 10_000
#: Above every serial, and after every moment.
_TOP, _END = 2**63 - 1, datetime.max.replace(tzinfo=UTC)


class NamedClient(NamedTuple):
    """A machine of a name that several have."""

    client_id: UUID
    name: str
    version: str
    last_seen: datetime | None


class StateKey(NamedTuple):
    """Which state of a client: the key of a page of states. It is smaller than all by default."""

    topic_type: Annotated[int, Field(ge=-(2**31), le=2**31 - 1)] = -(2**31) - 1
    topic_id: StoredText = ""
    user_sid: StoredText = ""

    @classmethod
    def of(cls, row: StateRow) -> "StateKey":
        """The key of a state."""
        return cls(row.topic_type, row.topic_id, row.user_sid)


class HistoryKey(NamedTuple):
    """Where a page of the history begins: behind a message, which `digest` names.

    Attributes:
        serial: of a numbered message. They come first, highest serials first.
        loaded_at: of a message without a serial. They come last, those loaded last first.
    """

    digest: bytes
    serial: int | None = None
    loaded_at: datetime | None = None


class ClientMessage(NamedTuple):
    """A message of one client's history.

    Attributes:
        changed: its state differs from the one before of the same topic and user.
        number: of the row among those that were read.
    """

    serial: int | None
    digest: bytes
    topic_type: int
    topic_id: str
    user_sid: str
    state_id: int
    message_time: datetime
    loaded_at: datetime
    reused: bool
    resync_request_id: UUID | None
    params: list[str]
    details: str | None
    changed: bool
    number: int

    @property
    def key(self) -> HistoryKey:
        """Where the page behind it begins."""
        if self.serial is None:
            return HistoryKey(self.digest, loaded_at=self.loaded_at)
        return HistoryKey(self.digest, serial=self.serial)


class HistoryPage(NamedTuple):
    """Messages of a client, and where the next page begins; None when there is none.

    With changes only, a page may have fewer messages than asked for and still have a next one.
    """

    messages: list[ClientMessage]
    following: HistoryKey | None


class OneClientQueries(QuerySession):
    """The queries of `one_client.sql`."""

    def clients_named(self, name: str, *, limit: int) -> list[NamedClient]:
        """The clients of a name in any letter case, last heard of first."""
        return self._all("clients_named", NamedClient, name=name, limit=limit)

    def state_page(
        self, client_id: UUID, *, after: StateKey | None = None, limit: int
    ) -> list[StateRow]:
        """The next current states of a client, by topic and user."""
        key = after or StateKey()
        return self._all("state_page", StateRow, client_id=client_id, **key._asdict(), limit=limit)

    def reused_serials(self, client_id: UUID) -> list[int]:
        """Serials that were used twice, among a client's 10,000 messages with the highest ones."""
        return self._scalars("reused_serials", client_id=client_id, read=_RECENT)

    def client_history(
        self, client_id: UUID, *, changes: bool, after: HistoryKey | None = None, limit: int
    ) -> HistoryPage:
        """A page of a client's messages: numbered ones by serial, then the others by loading.

        Args:
            changes: only messages whose state differs from that of the one before of the same
                topic and user, as far as the 5,000 messages before it tell.
            limit: messages at most.
        """
        found: list[ClientMessage] = []
        if after is None or after.serial is not None:
            page = self._history(client_id, after, changes=changes, limit=limit, numbered=True)
            if page.following is not None:
                return page
            found, after = page.messages, None
        page = self._history(
            client_id, after, changes=changes, limit=limit - len(found), numbered=False
        )
        return HistoryPage(found + page.messages, page.following)

    def _history(
        self,
        client_id: UUID,
        after: HistoryKey | None,
        *,
        changes: bool,
        limit: int,
        numbered: bool,
    ) -> HistoryPage:
        kind = "with_serial" if numbered else "without_serial"
        query = sql.SQL(named_text("client_history")).format(
            order=sql.SQL(named_text(f"order_{kind}")), where=sql.SQL(named_text(f"where_{kind}"))
        )
        # One row more than is shown tells whether there are more.
        examined = max(EXAMINED, limit + 1) if changes else limit + 1
        values = {
            "client_id": client_id,
            "changes": changes,
            "examined": examined,
            "read": examined + (BEFORE if changes else 0),
            "serial": _TOP,
            "loaded_at": _END,
            "digest": b"",
        }
        if after is not None:
            values |= {name: value for name, value in after._asdict().items() if value is not None}
        rows = self._rows_of(query, ClientMessage, values)
        fitting = [row for row in rows if row.changed or not changes]
        if len(fitting) > limit:
            # With no room for a message of this kind, it begins with the first of them.
            last = fitting[limit - 1].key if limit else HistoryKey(b"", loaded_at=_END)
            return HistoryPage(fitting[:limit], last)
        cut = bool(rows) and rows[-1].number == examined
        return HistoryPage(fitting, rows[-1].key if cut else None)
