"""Compare, at any moment, what readers say about resync requests with the check that sends them."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from console.queries import Queries
from console.queries.rows import DueRow
from loader.store.resyncs import ResyncStore
from loader.store.sites import RunningLoader
from runtime.rules import SiteRules
from runtime.settings import Settings
from tests.support.world import Tables, open_tables

#: The resolution of PostgreSQL's timestamps.
TICK = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)
_ALL = 100_000
#: Clients that are queried one by one, at the first moment of a walk and at each later one; a
#: query about one client takes PostgreSQL some milliseconds.
_TRACED_FIRST, _TRACED = 100, 3

#: The next moment at which a rule has another result, those of `resync_due` included.
_NEXT_BOUNDARY = """
SELECT min(moment) FROM (
    SELECT detected_at + %(age)s FROM missing_message_range WHERE closed_at IS NULL
    UNION ALL SELECT sent_at + %(age)s FROM resync_request WHERE closed_at IS NULL
    UNION ALL SELECT closed_at + interval '24 hours' FROM resync_request
        WHERE reason = 'serial_reused' AND closed_how = 'answered'
    UNION ALL SELECT coalesce(last_seen, first_seen) + 3 * %(heartbeat)s FROM client
    UNION ALL SELECT at FROM resync_due(%(now)s, %(age)s, %(merge)s)
) found(moment) WHERE moment > %(now)s
"""


class Told(NamedTuple):
    """What the rules say about all clients at one moment.

    Attributes:
        due: row of each client that there is a reason to ask.
        conditions: condition of each client.
    """

    due: Mapping[UUID, DueRow]
    conditions: Mapping[UUID, str]

    def of(self, client: UUID) -> tuple[DueRow | None, str]:
        """What they say about one client."""
        return self.due.get(client), self.conditions[client]


class Site:
    """One database, with the check and all readers of its rules.

    Attributes:
        store: of the check; uses the rules of the site's row, like all readers here.
    """

    def __init__(self, queries: Queries, store: ResyncStore, tables: Tables) -> None:
        self.queries = queries
        self.store = store
        self.tables = tables

    @classmethod
    @contextmanager
    def open(cls, url: str) -> Iterator["Site"]:
        """Connect; use as a context manager."""
        with (
            Queries.open(url, name="test") as queries,
            closing(ResyncStore(url, name="test")) as store,
            open_tables(url) as tables,
        ):
            yield cls(queries, store, tables)

    def walk(self, boundaries: int, *, begin: datetime | None = None) -> Counter[str]:
        """Check at each boundary, a second before and a second after it, while no client answers.

        Args:
            begin: the first moment; the database's now by default.

        Returns:
            How often a client waited for which reason, was asked, or was in which condition.

        Raises:
            AssertionError: a reader and the check disagree.
        """
        now = begin or self.queries.now()
        before = self.told(now)
        found = self.check_agrees(now)
        for _ in range(boundaries):
            boundary = self._next_boundary(now)
            if boundary is None:
                break
            for moment in (boundary - SECOND, boundary, boundary + SECOND):
                if moment > now:
                    now, told = moment, self.told(moment)
                    found += self.check_agrees(now, told, since=before)
                    self.send(now)
                    before = told
        return found

    def send(self, now: datetime) -> None:
        """Mark the requests that are to be sent by then as sent."""
        for one in self.store.unsent(now=now):
            self.store.mark(one.request, sent=True, now=now)
        self.store.commit()

    def check_agrees(
        self, now: datetime, told: Told | None = None, *, since: Told | None = None
    ) -> Counter[str]:
        """Run the check at a moment, and compare it with what readers said about every client.

        Args:
            told: what the rules say then, if that is known.
            since: what they said a moment ago: `gaps` and `trace` are compared for some of the
                clients that have changed. None: `gaps` for all clients, and `trace` for many.

        Returns:
            As `walk`.

        Raises:
            AssertionError: a reader and the check disagree.
        """
        told, is_same = told or self.told(now), _at(now)
        self._readers_agree(told, now, since)
        totals, dry = self.queries.totals(now=now), self.store.preview(now=now, limit=_ALL)
        asked = self.store.check(now=now, limit=_ALL, with_missing=True)

        is_same("dry run", dry, asked)
        is_same(
            "asked",
            {one.client_id: (one.reason.value, one.since) for one in asked},
            {c: (one.reason, one.since) for c, one in told.due.items() if one.held_by is None},
        )
        kinds = Counter(told.conditions.values())
        marked = self.tables.rows("SELECT FROM client WHERE duplicate_identity_at IS NOT NULL")
        is_same("status: due", totals.due, len(asked))
        is_same("status: identities", totals.duplicate_identities, kinds["duplicate identity"])
        is_same("marked", len(marked), kinds["duplicate identity"])
        # A silent client may have a condition that takes precedence.
        is_same("status: silent", totals.silent >= kinds["silent"], True)
        self._asked_when_told(told.due, now, soonest_only=since is not None)
        return kinds + Counter(one.held_by or "asked" for one in told.due.values())

    def _readers_agree(self, told: Told, now: datetime, since: Told | None) -> None:
        """Check that `gaps` and `trace` agree with the rules for all clients."""
        chosen = sorted(told.conditions)
        if since is None:
            chosen = chosen[:_TRACED_FIRST]
            ranges = self.queries.missing(closed=True, now=now)
        else:
            chosen = [client for client in chosen if told.of(client) != since.of(client)][:_TRACED]
            ranges = [
                one
                for client in chosen
                for one in self.queries.missing(client, closed=True, limit=_TRACED, now=now)
            ]
        for row in ranges:
            said = (row.due_reason, row.due_since, row.due_at, row.held_by)
            due = None if row.closed_at else told.due.get(row.client_id)
            _at(now)(f"gaps of {row.client_id}", said, due or (None,) * 4)
        for client in chosen:
            said_of_it = (
                self.queries.due(client, now=now),
                self.queries.condition(client, now=now),
            )
            _at(now)(f"trace of {client}", said_of_it, told.of(client))

    def _asked_when_told(
        self, due: Mapping[UUID, DueRow], now: datetime, *, soonest_only: bool
    ) -> None:
        """Check that clients to be asked at a later moment are asked then, and no sooner.

        The check has run before, so this covers the clients that it did not ask.
        """
        later = defaultdict(list)
        for client, one in due.items():
            only_a_change = one.held_by in {"open request", "duplicate identity", "silent"}
            _at(now)(f"no moment for {client}", one.at is None, only_a_change)
            if one.at is not None:
                _at(now)(f"now or later for {client}", one.at <= now, one.held_by is None)
                if one.at > now:
                    later[one.at].append(client)
        moments = sorted(later)
        # A large site has thousands of such moments, each with two queries about all clients.
        apart = 1 + len(moments) // _TRACED_FIRST
        for at in moments[: 1 if soonest_only else None : apart]:
            then, before = self.told(at).due, self.told(at - TICK).due
            for client in later[at]:
                _at(at)(f"{client} is asked", then[client][2:], (at, None))
                _at(at - TICK)(f"{client} waits", before[client].held_by is None, False)

    def told(self, now: datetime) -> Told:
        """What the rules say about all clients, with the site's own ages."""
        rules = self.store.rules()
        ages = (now, rules.min_missing_message_age, rules.resync_merge_interval)
        due = self.tables.rows(
            "SELECT client_id, reason, since, at, held_by FROM resync_due(%s, %s, %s)", *ages
        )
        conditions = self.tables.rows(
            "SELECT client_id, condition FROM client_condition(%s, %s, %s)",
            *(now, rules.min_missing_message_age, rules.heartbeat_interval),
        )
        return Told({client: DueRow(*row) for client, *row in due}, dict(conditions))

    def _next_boundary(self, now: datetime) -> datetime | None:
        rules: SiteRules = self.store.rules()
        row = self.tables.connection.execute(
            _NEXT_BOUNDARY,
            {
                "now": now,
                "age": rules.min_missing_message_age,
                "merge": rules.resync_merge_interval,
                "heartbeat": rules.heartbeat_interval,
            },
        ).fetchone()
        assert row is not None
        found: datetime | None = row[0]
        return found


def walk_days(url: str, boundaries: int, *, begin: datetime | None = None) -> Counter[str]:
    """Walk by the site's own rules, which are seconds in tests, then by the defaults.

    Args:
        begin: as in `Site.walk`, for both walks.

    Raises:
        AssertionError: a reader and the check disagree.
    """
    with Site.open(url) as site:
        told = site.walk(1, begin=begin)
        site.store.site.start(RunningLoader.here(SiteRules.of(Settings())))
        return told + site.walk(boundaries, begin=begin)


def told_at(url: str, now: datetime) -> set[str | None]:
    """The conditions of clients by the site's own rules, and the reasons why some wait."""
    with Site.open(url) as site:
        told = site.told(now)
        return {*told.conditions.values(), *(one.held_by for one in told.due.values())}


def _at(now: datetime) -> Callable[[str, object, object], None]:
    def is_same(what: str, one: object, other: object) -> None:
        # With its own message, since the soak runs without pytest.
        assert one == other, f"{what} at {now}: {one}, but {other}"

    return is_same
