"""Resync requests as rows. The SQL is `resync.sql`; the rules are functions of the database."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast
from uuid import UUID

from loader.store.sites import Site
from runtime.database import require_current_tables, shared_session
from runtime.rules import SiteRules
from runtime.statements import statements
from schemas.resync import MAX_REQUEST_RANGES, ResyncReason, ResyncRequest
from schemas.serials import SerialRange

#: Key of the transaction-level advisory lock: one loader checks at a time, and one that is
#: stopped gives it back with its transaction.
_CHECK_LOCK = 7828379702
_SQL = statements("loader", "resync.sql")
#: No spread: whoever is due is asked now.
AT_ONCE = timedelta(0)
#: Requests published in one transaction, whose rows stay locked meanwhile.
_PUBLISH_AT_ONCE = 200


class Due(NamedTuple):
    """A client to ask: why, and since when the cause exists."""

    client_id: UUID
    reason: ResyncReason
    since: datetime


class UnsentRequest(NamedTuple):
    """A request that is a row but not yet a message; `reply_queue` None: the client named none."""

    request: ResyncRequest
    reply_queue: str | None


class ResyncStore:
    """A connection for resync requests.

    Args:
        min_missing_age, merge_interval: instead of the site's rules, to see what would be if.

    Attributes:
        site: the site's row.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str,
        min_missing_age: timedelta | None = None,
        merge_interval: timedelta | None = None,
    ) -> None:
        self._session = shared_session(url, name, read_only=False)
        self.site = Site(self._session)
        given: dict[str, Any] = {
            "min_missing_message_age": min_missing_age,
            "resync_merge_interval": merge_interval,
        }
        self._given = {name: age for name, age in given.items() if age is not None}

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def require_current_tables(self) -> None:
        """Refuse tables of another version.

        Raises:
            SchemaMissing: they are not migrated to this one.
            StatesysError: a newer one made them.
        """
        require_current_tables(self._session)

    def now(self) -> datetime:
        """The database's clock: the one that detected_at was read from."""
        with self._session.transaction():
            row = self._session.execute("SELECT now()").fetchone()
            assert row is not None
            return cast(datetime, row[0])

    def rules(self) -> SiteRules:
        """The site's rules, with what was given instead."""
        return self.site.rules()._replace(**self._given)

    def check_in_turn(
        self, *, now: datetime, limit: int, check_interval: timedelta, signs_interval: timedelta
    ) -> list[Due]:
        """Check, if it is time for the site to do so: once in each interval, whoever comes first.

        The turn is taken in the transaction of the check: one that fails leaves it to the next.

        Args:
            now: aware.
            limit: clients asked at most.
            check_interval: between two looks at missing ranges.
            signs_interval: between two looks at the other causes.

        Returns:
            Who is asked.
        """
        with self._session.transaction():
            if not self._lock_checks():
                return []
            missing = self._take_turn("resync.missing", now=now, interval=check_interval)
            signs = self._take_turn("resync.signs", now=now, interval=signs_interval)
            if not (missing or signs):
                return []
            return self.check(now=now, limit=limit, with_missing=missing, spread=check_interval)

    def check(
        self, *, now: datetime, limit: int, with_missing: bool, spread: timedelta = AT_ONCE
    ) -> list[Due]:
        """Close what is over, and write a request for each client that is due.

        Args:
            now: aware; a value, so that days can be tested in no time.
            limit: clients asked at most.
            with_missing: also look for missing ranges; the other causes are looked for always.
            spread: the requests go within this time, a minute at most for the other causes, so
                that the answers do not come all together. The oldest cause goes first.

        Returns:
            Who is asked; nothing when another process holds the lock.
        """
        with self._session.transaction():
            if not self._lock_checks():
                return []
            ages = self._ages()
            self._run("close_requests", {**ages, "now": now})
            self._run("mark_duplicate_identities", {"now": now})
            due = self._due(ages, now=now, limit=limit, with_missing=with_missing)
            for slot, (client_id, reason, _) in enumerate(due):
                self._request(client_id, reason, now, spread=spread, slot=slot, slots=len(due))
            return due

    def preview(self, *, now: datetime, limit: int) -> list[Due]:
        """Who would be asked at a check; only reads."""
        with self._session.transaction():
            return self._due(self._ages(), now=now, limit=limit, with_missing=True)

    def keep_totals(self, *, now: datetime, interval: timedelta) -> bool:
        """Count the site's totals for readers, if it is time to; whether it was.

        Reads the table of clients once, and none of messages or states.
        """
        with self._session.transaction():
            if not self._take_turn("totals", now=now, interval=interval):
                return False
            self._run("keep_totals", {**self._ages(), "now": now})
            return True

    def request(self, client_id: UUID, *, now: datetime) -> UUID | None:
        """Write an operator's request, which goes at once.

        Returns:
            Its id, or None for a client that is not known.
        """
        with self._session.transaction():
            self._run("forgive", {"client_id": client_id})
            return self._request(client_id, ResyncReason.OPERATOR, now)

    def forget(self, client_id: UUID) -> bool:
        """Remove a client with its states, ranges and requests; False when it is not known."""
        with self._session.transaction():
            self._run("lock_client", {"client_id": client_id})
            return self._run("forget_client", {"client_id": client_id}).fetchone() is not None

    def unsent(self, *, now: datetime, held: bool = False) -> list[UnsentRequest]:
        """Requests to publish. They stay locked until `commit`: nobody else sends them too.

        Args:
            now: aware; requests whose moment has not come are left out.
            held: under backlog, only an operator's.
        """
        rows = self._run("unsent", {"now": now, "held": held, "limit": _PUBLISH_AT_ONCE})
        return [_unsent(row) for row in rows.fetchall()]

    def next_unsent(self) -> datetime | None:
        """When the next request goes, which may be over; None when there is none."""
        with self._session.transaction():
            row = self._run("next_unsent", {}).fetchone()
            return None if row is None else cast(datetime | None, row[0])

    def put_off(self, *, now: datetime, spread: timedelta) -> None:
        """Give all that would go now, but an operator's requests, a later moment: see `check`."""
        with self._session.transaction():
            self._run("put_off", {"now": now, "spread": spread})

    def mark(self, request: ResyncRequest, *, sent: bool, now: datetime) -> None:
        """Note that a request was published, or that its queue does not exist."""
        self._run(
            "sent" if sent else "unroutable",
            {"client_id": request.client_id, "request_id": request.request_id, "now": now},
        )

    def commit(self) -> None:
        """End the transaction of `unsent`."""
        self._session.commit()

    def _lock_checks(self) -> bool:
        """Held to the end of the transaction; taking it twice in one is no hindrance."""
        row = self._session.execute(
            "SELECT pg_try_advisory_xact_lock(%s)", [_CHECK_LOCK]
        ).fetchone()
        return row is not None and bool(row[0])

    def _take_turn(self, duty: str, *, now: datetime, interval: timedelta) -> bool:
        # A little slack, or a timer that fires early would skip every second turn.
        values = {"name": duty, "now": now, "interval": interval * 0.9}
        return self._run("turn", values).fetchone() is not None

    def _ages(self) -> dict[str, timedelta]:
        rules = self.rules()
        return {
            "min_age": rules.min_missing_message_age,
            "merge_interval": rules.resync_merge_interval,
        }

    def _due(
        self, ages: dict[str, timedelta], *, now: datetime, limit: int, with_missing: bool
    ) -> list[Due]:
        values = {**ages, "now": now, "limit": limit, "signs_only": not with_missing}
        return [
            Due(client_id, ResyncReason(reason), since)
            for client_id, reason, since in self._run("due", values)
        ]

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
        row = self._run("request", {**who, **when}).fetchone()
        return None if row is None else cast(UUID, row[0])

    def _run(self, name: str, values: dict[str, Any]) -> Any:
        return self._session.execute(_SQL[name], values)


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
