"""A constant rate: how long a message takes when nothing is in its way, or when something is."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from console.bench.drop import Drop, disturbance, drop_behind_reader
from console.bench.feed import Feed
from console.bench.fill import fill
from console.bench.ground import Ground
from console.bench.job import Crew, Job
from console.bench.measures import times
from console.bench.reports import reports
from console.bench.result import Result
from console.bench.stage import check_loaded, stage
from schemas.report_writer import render_report


def run_steady(
    ground: Ground, job: Job, crew: Crew, *, rate: float, drop_partition: bool = False
) -> Result:
    """Publish on a clock that waits for nobody.

    Every report has the moment it was due as its Date, so that a bench which comes late itself
    does not make the total look shorter.

    Args:
        rate: reports a second.
        drop_partition: after a third of the time, drop the oldest day of what was there before,
            behind a reader that stays for another third.
    """
    ground.clear()
    fill(ground.servers.database_url, job.existing, ground.show)
    ground.show("rendering")
    waiting = list(reports(job))
    with stage(ground, crew) as running:
        workers = running.workers
        workers.start("loader", crew.loaders)
        workers.start("relay", crew.relays)
        ground.show("publishing at a constant rate")
        with (
            _dropping(ground, job, rate, wanted=drop_partition) as dropped,
            Feed(ground.servers.amqp_url, lambda _step: None) as feed,
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
    check_loaded(ground, job, first)
    took = times(ground.servers.database_url, first)
    return replace(
        running.result("steady", job, crew, first=first, last=last, short_way=short_way),
        queue=took.queue,
        total=took.total,
        disturbance=None if drop is None else disturbance(drop, *said),
    )


@contextmanager
def _dropping(
    ground: Ground, job: Job, rate: float, *, wanted: bool
) -> Iterator[Callable[[], Drop | None]]:
    """Drop the oldest day meanwhile, if wanted; yields what waits for the outcome."""
    if not wanted:
        yield lambda: None
        return
    third = job.reports / rate / 3
    with ThreadPoolExecutor(1, "dropping") as pool:
        drop = pool.submit(
            drop_behind_reader,
            ground.servers.database_url,
            after=third,
            hold=third,
            # Days are counted from today, which is one of them.
            retention=timedelta(days=job.existing.days - 2),
        )
        yield drop.result
