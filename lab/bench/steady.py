"""A constant rate: how long a message takes when nothing is in its way, or when something is."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from lab.bench.drop import Drop, disturbance, drop_behind_reader
from lab.bench.feed import Feed
from lab.bench.fill import fill
from lab.bench.job import Job, WorkerSettings
from lab.bench.measures import times
from lab.bench.reports import reports
from lab.bench.result import Result
from lab.bench.run import check_loaded, stage
from lab.bench.testbed import Testbed
from schemas.report_writer import render_report


def run_steady(
    testbed: Testbed,
    job: Job,
    worker_settings: WorkerSettings,
    *,
    rate: float,
    drop_partition: bool = False,
) -> Result:
    """Publish on a clock that waits for nobody.

    Every report has the moment it was due as its Date, so that a bench which comes late itself
    does not make the total look shorter.

    Args:
        rate: reports a second.
        drop_partition: after a third of the time, drop the oldest day of what was there before,
            behind a reader that stays for another third.
    """
    testbed.clear()
    fill(testbed.servers.database_url, job.existing, testbed.show)
    testbed.show("rendering")
    waiting = list(reports(job))
    with stage(testbed, worker_settings) as running:
        workers = running.workers
        workers.start("loader", worker_settings.loaders)
        workers.start("relay", worker_settings.relays)
        testbed.show("publishing at a constant rate")
        with (
            _dropping(testbed, job, rate, wanted=drop_partition) as dropped,
            Feed(testbed.servers.amqp_url, lambda _step: None) as feed,
        ):
            first, started = time.time(), time.monotonic()
            for number, report in enumerate(waiting):
                due = number / rate
                while (left := started + due - time.monotonic()) > 0:
                    feed.poll(left)
                date = datetime.fromtimestamp(first, UTC) + timedelta(seconds=due)
                dated = report._replace(date=date)
                feed.send(dated, render_report(dated))
        last = workers.work("loader", job.total)
        short_way = running.short_way()
        drop = dropped()
        said = workers.events("loader"), workers.events("relay")
        workers.stop("relay")
        workers.stop("loader")
    check_loaded(testbed, job, first)
    took = times(testbed.servers.database_url, first)
    return replace(
        running.result("steady", job, worker_settings, first=first, last=last, short_way=short_way),
        queue=took.queue,
        total=took.total,
        disturbance=None if drop is None else disturbance(drop, *said),
    )


@contextmanager
def _dropping(
    testbed: Testbed, job: Job, rate: float, *, wanted: bool
) -> Iterator[Callable[[], Drop | None]]:
    """Drop the oldest day meanwhile, if wanted; yields what waits for the outcome."""
    if not wanted:
        yield lambda: None
        return
    third = job.reports / rate / 3
    with ThreadPoolExecutor(1, "dropping") as pool:
        drop = pool.submit(
            drop_behind_reader,
            testbed.servers.database_url,
            after=third,
            hold=third,
            # Days are counted from today, which is one of them.
            retention=timedelta(days=job.existing.days - 2),
        )
        yield drop.result
