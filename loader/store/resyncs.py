"""Resync requests in the database. The SQL is `resync.sql`; the rules are database functions."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast
from uuid import UUID

from loader.store.activity import keep_deletions_out
from loader.store.shared import SharedStore
from loader.store.sites import Site
from runtime.client_names import client_ids_of
from runtime.options import GivenClient
from runtime.rules import SiteRules
from runtime.statements import statements
from schemas.resync import MAX_REQUEST_RANGES, ResyncReason, ResyncRequest
from schemas.serials import SerialRange

#: Key of the transaction-level advisory lock with which one loader checks at a time. It is released
#: with the transaction, also if the loader is killed.
_CHECK_LOCK = 7828379702
#: No spread: requests are sent at once.
AT_ONCE = timedelta(0)
#: Maximum number of requests in one transaction, whose rows stay locked during publishing.
_PUBLISHED_TOGETHER = 200
#: Topics with fewer current states are counted when somebody asks, which takes milliseconds. So
#: topics of one client each, of which there may be millions, leave no rows in `state_totals`.
SMALL_TOPIC = 1000
#: Clients of a state at most whose ids are kept with the count. With more of them, a page of a list
#: is full after a share of all clients.
RARE = 500


class Due(NamedTuple):
    """A client that is due, the reason, and since when the cause exists (timezone-aware)."""

    client_id: UUID
    reason: ResyncReason
    since: datetime


class UnsentRequest(NamedTuple):
    """A request that is not published yet; `reply_queue` is None if the client named none."""

    request: ResyncRequest
    reply_queue: str | None


class ResyncStore(SharedStore):
    """A connection for resync requests.

    Args:
        url: URL of the database.
        name: name of the connection, shown in pg_stat_activity.
        min_missing_age, merge_interval: replace the site's rules of this kind, if given.

    Attributes:
        site: the site's rules and loaders.

    Raises:
        DatabaseUnavailable: from every method; try again.
        SchemaMissing: from every method; the database is not migrated.
    """

    _sql = statements("loader", "resync.sql")

    def __init__(
        self,
        url: str,
        *,
        name: str,
        min_missing_age: timedelta | None = None,
        merge_interval: timedelta | None = None,
    ) -> None:
        super().__init__(url, name=name)
        self.site = Site(self._session)
        given: dict[str, Any] = {
            "min_missing_message_age": min_missing_age,
            "resync_merge_interval": merge_interval,
        }
        self._given = {name: age for name, age in given.items() if age is not None}

    def rules(self) -> SiteRules:
        """Return the site's rules, with the replacements given to this store."""
        return self.site.rules()._replace(**self._given)

    def check_if_due(
        self, *, now: datetime, limit: int, check_interval: timedelta, urgent_interval: timedelta
    ) -> list[Due]:
        """Check, unless a loader of the site has already done so within the interval.

        The time of the check is written in the same transaction, so a failed check is repeated by
        the next loader.

        Args:
            now: timezone-aware.
            limit: maximum number of clients to ask.
            check_interval: interval of checks for missing ranges.
            urgent_interval: interval of checks for the urgent causes, those that waiting does not
                cure: reused serials, merged ranges, an operator.

        Returns:
            The clients that are asked.
        """
        with self._session.transaction():
            if not self._lock_checks():
                return []
            missing = self._take_turn("resync.missing", now=now, interval=check_interval)
            urgent = self._take_turn("resync.signs", now=now, interval=urgent_interval)
            if not (missing or urgent):
                return []
            return self.check(now=now, limit=limit, with_missing=missing, spread=check_interval)

    def check(
        self, *, now: datetime, limit: int, with_missing: bool, spread: timedelta = AT_ONCE
    ) -> list[Due]:
        """Close requests that are over, and write one for each client that is due.

        Args:
            now: timezone-aware; a parameter, so that tests need not wait.
            limit: maximum number of clients to ask.
            with_missing: also check for missing ranges; the urgent causes are always checked.
            spread: the requests are sent over this time (at most a minute for the urgent causes),
                the oldest cause first, so that the answers do not arrive all at once.

        Returns:
            The clients that are asked; empty while another process holds the lock.
        """
        with self._session.transaction():
            if not self._lock_checks():
                return []
            ages = self.rules().ages
            self._run("close_requests", **ages, now=now)
            self._run("mark_duplicate_identities", now=now)
            due = self._due(ages, now=now, limit=limit, with_missing=with_missing)
            for slot, (client_id, reason, _) in enumerate(due):
                self._request(client_id, reason, now, spread=spread, slot=slot, slots=len(due))
            return due

    def preview(self, *, now: datetime, limit: int) -> list[Due]:
        """Return the clients that a check would ask now; writes nothing."""
        with self._session.transaction():
            return self._due(self.rules().ages, now=now, limit=limit, with_missing=True)

    def keep_totals(self, *, now: datetime, interval: timedelta) -> bool:
        """Count the site's totals, unless that was done within the interval.

        This reads all clients, requests and open ranges.

        Args:
            now: timezone-aware.
            interval: interval of the counts.

        Returns:
            Whether they were counted.
        """
        with self._session.transaction():
            if not self._take_turn("totals", now=now, interval=interval):
                return False
            self._run("keep_totals", **self.rules().ages, now=now)
            return True

    def client_ids_of(self, given: Sequence[GivenClient]) -> list[UUID]:
        """Return the ids of the clients of a list; errors as in `runtime.client_names`."""
        return client_ids_of(self._session, given)

    def keep_state_totals(self, *, now: datetime, interval: timedelta) -> bool:
        """Count the clients in each state, unless that was done within the interval.

        Of the states that few clients have, it keeps the clients too. This reads all clients, and
        all current states several times.

        Args:
            now: timezone-aware.
            interval: interval of the counts.

        Returns:
            Whether they were counted.
        """
        with self._session.transaction():
            if not self._take_turn("state_totals", now=now, interval=interval):
                return False
            self._run("count_in_memory")
            self._run("forget_state_totals")
            ages = self.rules().ages
            self._run("keep_state_totals", **ages, now=now, min_states=SMALL_TOPIC)
            keep_deletions_out(self._session)
            self._run("forget_rare_states")
            self._run("read_states_once")
            self._run("keep_rare_states", now=now, rare=RARE)
            return True

    def request(self, client_id: UUID, *, now: datetime) -> UUID | None:
        """Write an operator's request, which is sent at once.

        Returns:
            Its id; None if the client is unknown.
        """
        with self._session.transaction():
            self._run("forgive", client_id=client_id)
            return self._request(client_id, ResyncReason.OPERATOR, now)

    def request_many(
        self, client_ids: Sequence[UUID], *, now: datetime, spread: timedelta
    ) -> dict[UUID, UUID]:
        """Write operators' requests, which are sent one after another over a time.

        Clients with an open request are left out.

        Returns:
            client id -> request id.
        """
        values = {"client_ids": list(client_ids), "now": now, "spread": spread}
        with self._session.transaction():
            self._run("forgive_many", **values)
            return dict(self._run("request_many", **values).fetchall())

    def members(self, collection: str) -> list[UUID] | None:
        """Return a collection's members at its last evaluation; None if there is no such name."""
        with self._session.transaction():
            row = self._run("collection_id", name=collection).fetchone()
            if row is None:
                return None
            return [client_id for (client_id,) in self._run("members", id=row[0])]

    def askable(self, client_ids: Sequence[UUID]) -> int:
        """How many of some clients have no open request."""
        row = self._run("askable", client_ids=list(client_ids)).fetchone()
        self._session.commit()
        return cast(int, row[0])

    def unsent(self, *, now: datetime, held: bool = False) -> list[UnsentRequest]:
        """Return requests to publish, locked until `commit` so that no other loader sends them.

        Args:
            now: timezone-aware; requests for a later time are left out.
            held: return only requests that an operator made for one client, because of a backlog.
        """
        rows = self._run("unsent", now=now, held=held, limit=_PUBLISHED_TOGETHER)
        return [_unsent(row) for row in rows.fetchall()]

    def next_unsent(self) -> datetime | None:
        """Return when the next request is to be sent, maybe in the past; None if there is none."""
        with self._session.transaction():
            row = self._run("next_unsent").fetchone()
            return None if row is None else cast(datetime | None, row[0])

    def put_off(self, *, now: datetime, spread: timedelta) -> None:
        """Postpone the requests to be sent by now, except those an operator made for one client.

        Args:
            now: timezone-aware.
            spread: as in `check`.
        """
        with self._session.transaction():
            self._run("put_off", now=now, spread=spread)

    def mark(self, request: ResyncRequest, *, sent: bool, now: datetime) -> None:
        """Note that a request was published (`sent`), or that its queue does not exist."""
        which = {"client_id": request.client_id, "request_id": request.request_id}
        self._run("sent" if sent else "unroutable", **which, now=now)

    def commit(self) -> None:
        """End the transaction of `unsent`."""
        self._session.commit()

    def _lock_checks(self) -> bool:
        """Try to lock checks until the end of the transaction; works twice in one transaction."""
        row = self._session.execute(
            "SELECT pg_try_advisory_xact_lock(%s)", [_CHECK_LOCK]
        ).fetchone()
        return row is not None and bool(row[0])

    def _due(
        self, ages: dict[str, timedelta], *, now: datetime, limit: int, with_missing: bool
    ) -> list[Due]:
        rows = self._run("due", **ages, now=now, limit=limit, urgent_only=not with_missing)
        return [Due(client_id, ResyncReason(reason), since) for client_id, reason, since in rows]

    def _request(
        self,
        client_id: UUID,
        reason: ResyncReason,
        now: datetime,
        *,
        spread: timedelta = AT_ONCE,
        slot: int = 0,
        slots: int = 1,
    ) -> UUID | None:
        who = {"client_id": client_id, "reason": reason.value}
        when = {"now": now, "spread": spread, "slot": slot, "slots": slots}
        row = self._run("request", **who, **when).fetchone()
        return None if row is None else cast(UUID, row[0])


def _unsent(row: tuple[Any, ...]) -> UnsentRequest:
    client_id, request_id, reason, ranges, highest_serial, requested_at, reply_queue = row
    found = tuple(SerialRange(r.lower, r.upper - 1) for r in ranges)
    request = ResyncRequest(
        request_id=request_id,
        client_id=client_id,
        reason=ResyncReason(reason),
        highest_serial=highest_serial,
        requested_at=requested_at,
        ranges=found[:MAX_REQUEST_RANGES],
        more=len(found) > MAX_REQUEST_RANGES,
    )
    return UnsentRequest(request, reply_queue)
