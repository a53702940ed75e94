"""Retry while a server is away, with pauses that grow up to a few seconds."""

import threading
import time

import structlog
import tenacity

from runtime.workers import HeartbeatFile
from schemas.errors import BrokerUnavailable, DatabaseUnavailable, SchemaMissing

#: Seconds. The first try comes quickly, since most troubles are short; the longest pause keeps
#: the recovery within seconds of the server's return.
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 3.0
#: Seconds: a step that lasted longer had worked, because no timeout of ours is so long. What ends
#: it is another outage.
WORKED = 180.0
#: Seconds after which the log tells the reason of one outage again.
TOLD_AGAIN = 600.0

_log = structlog.get_logger()


def until_available(
    stop: threading.Event, worker: str, heartbeat: HeartbeatFile | None = None
) -> tenacity.Retrying:
    """Retry a step for as long as broker or database are away, or until `stop` is set.

    Missing tables count as away: a worker that runs waits until they are there again.
    Each reason is logged once in an outage, and every ten minutes while it lasts.

    Args:
        stop: also ends a pause at once.
        worker: its name in the log and in the heartbeat file.
        heartbeat: gets the trouble; `progress` of the same worker ends it.

    Returns:
        A tenacity object; call it with the step. Once `stop` is set it raises the last error.
    """
    told: dict[str, float] = {}
    begun = time.monotonic()

    def begin(_: tenacity.RetryCallState) -> None:
        nonlocal begun
        begun = time.monotonic()

    def failed(state: tenacity.RetryCallState) -> None:
        if time.monotonic() - begun > WORKED:
            told.clear()
            state.attempt_number = 1

    def waiting(state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if heartbeat is not None:
            heartbeat.trouble(worker, str(error))
        now = time.monotonic()
        if now - told.get(str(error), -TOLD_AGAIN) >= TOLD_AGAIN:
            told[str(error)] = now
            _log.warning("worker.waiting", worker=worker, why=str(error))

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(
            (BrokerUnavailable, DatabaseUnavailable, SchemaMissing)
        ),
        wait=tenacity.wait_exponential(multiplier=FIRST_PAUSE, max=LONGEST_PAUSE)
        + tenacity.wait_random(0, FIRST_PAUSE),
        sleep=tenacity.sleep_using_event(stop),
        stop=tenacity.stop_when_event_set(stop),
        before=begin,
        after=failed,
        before_sleep=waiting,
        reraise=True,
    )
