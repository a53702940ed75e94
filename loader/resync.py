"""The resync task: asks clients that are due, with one loader of the site at a time checking."""

import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta

import structlog

from loader.store.resyncs import ResyncStore, UnsentRequest
from loader.store.sites import RunningLoader
from runtime.broker import (
    Administration,
    ConfirmingPublisher,
    Message,
    PublishOutcome,
    Session,
)
from runtime.broker.messages import request_properties
from runtime.broker.shards import count_shards
from runtime.rules import SiteRules
from schemas.errors import BrokerUnavailable
from schemas.resync import render_request
from schemas.topology import RESYNC, incoming

_log = structlog.get_logger()

#: Interval of checks for the urgent causes, those that waiting does not cure: reused serials,
#: merged ranges, an operator. A shorter `resync_check_interval` applies to all causes.
URGENT_INTERVAL = timedelta(minutes=1)
#: Each request has its own moment, but a loader publishes at most twelve times in the interval of
#: `ResyncTask.run`, to save connections: requests of 5 s are sent together if it is a minute.
_STEPS = 12
#: A request stays in its queue at least this long, since a client may be between two cycles.
MIN_EXPIRATION = timedelta(minutes=1)
#: Seconds to wait for the broker's confirms of the requests of one transaction.
_CONFIRM_TIMEOUT = 10.0


class ResyncTask:
    """Checks for clients that are due and publishes requests, by the current rules of the site.

    Args:
        store: opens a database connection.
        url: URL of the broker.
        loader: describes this process.
    """

    def __init__(
        self, store: Callable[[], ResyncStore], url: str, *, loader: RunningLoader
    ) -> None:
        self._open_store = store
        self._url = url
        self._loader = loader
        self._rules = loader.rules

    @property
    def interval(self) -> timedelta:
        """The maximum time between two calls of `run`."""
        return min(self._rules.resync_check_interval, URGENT_INTERVAL)

    def run(self) -> timedelta:
        """Check, unless a loader did so within the interval; then publish what is due to be sent.

        Under backlog, only publish requests that an operator made for one client, and postpone the
        others.

        Returns:
            How long to wait until the next call: the interval, or the time to the next request.

        Raises:
            BrokerUnavailable: try again; unsent requests stay in the database.
            DatabaseUnavailable: try again.
        """
        with closing(self._open_store()) as store:
            store.site.seen(self._loader)
            self._follow(store.rules())
            held = self._under_backlog()
            if held:
                store.put_off(now=store.now(), spread=self._rules.resync_check_interval)
            else:
                self._check(store)
            self._publish(store, held=held)
            return self._pause(store)

    def end(self) -> None:
        """Remove this loader from the site's running loaders.

        Raises:
            DatabaseUnavailable: its row stays, and `statesys status` ignores it after five minutes.
        """
        with closing(self._open_store()) as store:
            store.site.leave(self._loader)

    def _follow(self, rules: SiteRules) -> None:
        """Apply the site's rules; log once if they differ from this loader's own."""
        if rules not in (self._rules, self._loader.rules):
            _log.warning("loader.follows_other_rules", **rules.as_text())
        self._rules = rules

    def _pause(self, store: ResyncStore) -> timedelta:
        moment = store.next_unsent()
        if moment is None:
            return self.interval
        wait = max(moment - store.now(), self.interval / _STEPS)
        return min(wait, self.interval)

    def _check(self, store: ResyncStore) -> None:
        due = store.check_if_due(
            now=store.now(),
            limit=self._rules.resyncs_per_check,
            check_interval=self._rules.resync_check_interval,
            urgent_interval=self.interval,
        )
        for client_id, reason, since in due:
            _log.info(
                "loader.resync_due",
                client=str(client_id),
                reason=reason.value,
                since=since.isoformat(timespec="seconds"),
            )

    def _under_backlog(self) -> bool:
        with Administration(self._url, name="statesys loader resync") as admin:
            depths = [admin.depth(queue) for queue in incoming(count_shards(admin))]
        waiting = sum(depth.ready for depth in depths if depth is not None)
        if waiting > self._rules.resync_backlog_threshold:
            _log.warning("loader.resync_postponed", batches_waiting=waiting)
            return True
        return False

    def _publish(self, store: ResyncStore, *, held: bool) -> None:
        """Publish requests, await the confirms, then mark the rows as sent.

        A crash in between sends a request twice, which is safe, since clients answer an id once.
        Marking first could lose a request.
        """
        now = store.now()
        while unsent := store.unsent(now=now, held=held):
            with closing(Session(self._url, name="statesys loader resync")) as session:
                publisher = ConfirmingPublisher(session)
                for one in unsent:
                    publisher.publish(self._message(one))
                self._await_confirms(store, session, publisher, now)
            store.commit()
        store.commit()

    def _await_confirms(
        self, store: ResyncStore, session: Session, publisher: ConfirmingPublisher, now: datetime
    ) -> None:
        """Mark confirmed requests; with a timeout, since chunks may wait for the locked rows."""
        deadline = time.monotonic() + _CONFIRM_TIMEOUT
        while publisher:
            left = deadline - time.monotonic()
            if session.blocked or left <= 0:
                raise BrokerUnavailable(
                    f"resync requests are not confirmed ({session.blocked or 'no answer'})"
                )
            for event in publisher.poll(left):
                if isinstance(event, PublishOutcome):
                    self._settle(store, event, now)

    def _message(self, one: UnsentRequest) -> Message:
        expires_after = max(self._rules.min_missing_message_age, MIN_EXPIRATION)
        return Message(
            routing_key=one.reply_queue or RESYNC,
            body=render_request(one.request),
            properties=request_properties(one.request, expires_after=expires_after),
            token=one,
        )

    def _settle(self, store: ResyncStore, event: PublishOutcome, now: datetime) -> None:
        one: UnsentRequest = event.token
        if event.problem is not None and not event.returned:
            raise BrokerUnavailable(f"a resync request was not taken: {event.problem}")
        store.mark(one.request, sent=event.problem is None, now=now)
        _log.info(
            "loader.resync_sent" if event.problem is None else "loader.resync_unroutable",
            client=str(one.request.client_id),
            request=str(one.request.request_id),
            queue=one.reply_queue or RESYNC,
        )
