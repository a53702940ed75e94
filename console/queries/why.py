"""What `statesys why` asks about one client, beside the queries of `trace`."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from console.queries.query_session import QuerySession
from console.queries.rows import MessageRow, StateRow


class Since(NamedTuple):
    """Since when something is the matter with a client; None means it is not.

    Attributes:
        duplicate_identity: two machines seem to share the id.
        reuse: serials were used twice, and no resync has answered that yet.
        silent: three requests in a row were left unanswered.
        quiet: three heartbeat intervals passed without a report.
    """

    duplicate_identity: datetime | None = None
    reuse: datetime | None = None
    silent: datetime | None = None
    quiet: datetime | None = None


class OpenRange(NamedTuple):
    """A missing range that is open."""

    first_serial: int
    last_serial: int
    merged: bool
    detected_at: datetime


class Changes(NamedTuple):
    """Number of a client's current states, and the message time of the newest; None without any."""

    states: int = 0
    last_change: datetime | None = None


class WhyQueries(QuerySession):
    """The queries about one client and one of its topics."""

    def since(self, client_id: UUID, *, now: datetime | None = None) -> Since:
        """Since when what is the matter with a client; a client may be in several fields."""
        view = self._view(now)
        names = (
            *("duplicate_identity_since", "reuse_unanswered_since"),
            *("silent_since", "quiet_since"),
        )
        found = (self._scalars(name, client_id=client_id, **view) for name in names)
        return Since(*(rows[0] if rows else None for rows in found))

    def open_ranges(self, client_id: UUID) -> list[OpenRange]:
        """The open missing ranges of a client, oldest first."""
        return self._all("open_ranges", OpenRange, client_id=client_id)

    def changes(self, client_id: UUID) -> Changes:
        """How many current states a client has, and when the last of them changed."""
        return self._all("changes", Changes, client_id=client_id)[0]

    def topic_states(
        self, client_id: UUID, topic_type: int, topic_id: str | None
    ) -> list[StateRow]:
        """The current states of a client on one topic, for each user; None means all of a type."""
        chosen = {"client_id": client_id, "topic_type": topic_type, "topic_id": topic_id}
        return self._all("topic_states", StateRow, **chosen)

    def topic_messages(
        self, client_id: UUID, topic_type: int, topic_id: str | None, *, limit: int | None = None
    ) -> list[MessageRow]:
        """The messages of a client on one topic, or all of a type, highest serials first."""
        chosen = {"client_id": client_id, "topic_type": topic_type, "topic_id": topic_id}
        return self._all("topic_messages", MessageRow, **chosen, limit=limit)
