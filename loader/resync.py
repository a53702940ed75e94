"""The resync duty: who is due is asked, by one loader at a time, however many run."""

import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta

import structlog

from loader.store import ResyncStore, RunningLoader, UnsentRequest
from runtime.broker import (
    Administration,
    ConfirmingPublisher,
    Message,
    PublishOutcome,
    Session,
)
from runtime.broker.messages import request_properties
from runtime.rules import SiteRules
from schemas.errors import BrokerUnavailable
from schemas.resync import render_request
from schemas.topology import INCOMING, RESYNC

_log = structlog.get_logger()

#: The causes that cannot be late news (reused serials, merged ranges, an operator) are looked
#: for this often, or at each check if that is more often.
SIGNS_INTERVAL = timedelta(minutes=1)
#: Requests are spread over an interval; within a twelfth of it they go together, so that there
#: are not more connections for it than twelve in an interval.
_STEPS = 12
#: A request lives in its queue at least this long: a client may be between two cycles.
MIN_EXPIRATION = timedelta(minutes=1)
#: Seconds to wait for the broker's confirms of one lot.
_CONFIRM_TIMEOUT = 10.0


class ResyncTask:
    """Checks and publishes, by the rules of the site as they are at each run.

    Args:
        store: opens the database connection.
        url: of the broker.
        loader: this process.
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
        """How often `run` is worth calling at least."""
        return min(self._rules.resync_check_interval, SIGNS_INTERVAL)

    def run(self) -> timedelta:
        """Check if it is this process's turn, then publish what is to go by now.

        Returns:
            How long to wait until the next call: the interval, or until the next request goes.

        Raises:
            BrokerUnavailable: try again; unsent requests stay rows.
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
        """Tell the site that this loader ends.

        Raises:
            DatabaseUnavailable: its row is taken for a dead loader's in some minutes.
        """
        with closing(self._open_store()) as store:
            store.site.leave(self._loader)

    def _follow(self, rules: SiteRules) -> None:
        """Take the site's rules; say it once when they are not this loader's own."""
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
        due = store.check_in_turn(
            now=store.now(),
            limit=self._rules.resyncs_per_check,
            check_interval=self._rules.resync_check_interval,
            signs_interval=self.interval,
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
            depths = [admin.depth(queue) for queue in INCOMING.values()]
        waiting = sum(depth.ready for depth in depths if depth is not None)
        if waiting > self._rules.resync_backlog_threshold:
            _log.warning("loader.resync_postponed", batches_waiting=waiting)
            return True
        return False

    def _publish(self, store: ResyncStore, *, held: bool) -> None:
        """Row first, confirm second, mark third: a crash in between sends a request twice.

        Clients answer an id once, so twice does no harm; the other order could lose one.
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
        """Mark what is confirmed. The rows are locked meanwhile, and a chunk may wait for them."""
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
