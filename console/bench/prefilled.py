"""The runs that begin with a full queue: relay and loader, each alone and both together."""

from dataclasses import replace

from console.bench.feed import Feed
from console.bench.fill import fill
from console.bench.ground import Ground
from console.bench.job import Crew, Job
from console.bench.measures import times
from console.bench.reports import reports, written
from console.bench.result import Result
from console.bench.stage import check_loaded, stage


def prefill(ground: Ground, job: Job) -> None:
    """Start with tables as the job wants them and all reports of a job in `mp_relayendpoint`."""
    ground.clear()
    fill(ground.servers.database_url, job.existing, ground.show)
    with Feed(ground.servers.amqp_url, ground.show) as feed:
        for report in reports(job):
            feed.send(report, written(report, job.shape))


def run_relay(ground: Ground, job: Job, crew: Crew) -> Result:
    """The relay alone, from the first delivery to the last confirm; the batches stay there."""
    prefill(ground, job)
    with stage(ground, crew) as running:
        ground.show("relaying")
        first = running.workers.start("relay", crew.relays)
        last = running.workers.work("relay", job.total)
        short_way = running.short_way()
        running.workers.stop("relay")
    return running.result("relay", job, crew, first=first, last=last, short_way=short_way)


def run_loader(ground: Ground, job: Job, crew: Crew) -> Result:
    """The loader alone, from the first delivery to the last commit; a relay makes the batches."""
    prefill(ground, job)
    with stage(ground, crew) as before:
        ground.show("making batches")
        before.workers.start("relay")
        before.workers.work("relay", job.total)
        short_way = before.short_way()
    with stage(ground, crew) as running:
        ground.show("loading")
        first = running.workers.start("loader", crew.loaders)
        last = running.workers.work("loader", job.total)
        running.workers.stop("loader")
    check_loaded(ground, job, first)
    return running.result("loader", job, crew, first=first, last=last, short_way=short_way)


def run_drain(ground: Ground, job: Job, crew: Crew) -> Result:
    """Both together, from the first delivery to a relay to the last commit of a loader."""
    prefill(ground, job)
    with stage(ground, crew) as running:
        ground.show("draining")
        running.workers.start("loader", crew.loaders)
        first = running.workers.start("relay", crew.relays)
        last = running.workers.work("loader", job.total)
        short_way = running.short_way()
        running.workers.stop("relay")
        running.workers.stop("loader")
    check_loaded(ground, job, first)
    found = running.result("drain", job, crew, first=first, last=last, short_way=short_way)
    return replace(found, queue=times(ground.servers.database_url, first).queue)
