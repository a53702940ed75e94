"""A constant rate: how long a message takes when nothing is in its way."""

import time
from datetime import UTC, datetime, timedelta

from console.bench.feed import Feed
from console.bench.ground import Ground
from console.bench.job import Crew, Job
from console.bench.measures import times
from console.bench.reports import reports
from console.bench.result import Result
from console.bench.stage import check_loaded, stage


def run_steady(ground: Ground, job: Job, crew: Crew, *, rate: float) -> Result:
    """Publish on a clock that waits for nobody.

    Every report has the moment it was due as its Date, so that a bench which comes late itself
    does not make the total look shorter.

    Args:
        rate: reports a second.
    """
    ground.clear()
    ground.show("rendering")
    waiting = list(reports(job))
    with stage(ground, crew) as running:
        workers, meter = running
        workers.start("loader", crew.loaders)
        workers.start("relay", crew.relays)
        ground.show("publishing at a constant rate")
        with Feed(ground.servers.amqp_url, lambda _step: None) as feed:
            first, started = time.time(), time.monotonic()
            for number, report in enumerate(waiting):
                due = number / rate
                while (left := started + due - time.monotonic()) > 0:
                    feed.poll(left)
                date = datetime.fromtimestamp(first, UTC) + timedelta(seconds=due)
                feed.send(report._replace(date=date))
        last = workers.work("loader", job.total)
        workers.stop("relay")
        workers.stop("loader")
    check_loaded(ground, job)
    took = times(ground.servers.database_url)
    return Result(
        kind="steady",
        job=job,
        crew=crew,
        reports=job.reports,
        messages=job.total,
        seconds=last - first,
        cpu=meter.cpu(first, last),
        peak=running.peak(),
        queue=took.queue,
        total=took.total,
    )
