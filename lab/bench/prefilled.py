"""The runs that begin with a full queue: relay and loader, each alone and both together."""

from dataclasses import replace

from lab.bench.feed import Feed
from lab.bench.fill import fill
from lab.bench.job import Job, WorkerSettings
from lab.bench.measures import times
from lab.bench.reports import reports, written
from lab.bench.result import Result
from lab.bench.run import check_loaded, stage
from lab.bench.testbed import Testbed


def prefill(testbed: Testbed, job: Job) -> None:
    """Start with tables as the job wants them and all reports of a job in `mp_relayendpoint`."""
    testbed.clear()
    fill(testbed.servers.database_url, job.existing, testbed.show)
    with Feed(testbed.servers.amqp_url, testbed.show) as feed:
        for report in reports(job):
            feed.send(report, written(report, job.shape))


def run_relay(testbed: Testbed, job: Job, worker_settings: WorkerSettings) -> Result:
    """The relay alone, from the first delivery to the last confirm; the batches stay there."""
    prefill(testbed, job)
    with stage(testbed, worker_settings) as running:
        testbed.show("relaying")
        first = running.workers.start("relay", worker_settings.relays)
        last = running.workers.work("relay", job.total)
        short_way = running.short_way()
        running.workers.stop("relay")
    return running.result(
        "relay", job, worker_settings, first=first, last=last, short_way=short_way
    )


def run_loader(testbed: Testbed, job: Job, worker_settings: WorkerSettings) -> Result:
    """The loader alone, from the first delivery to the last commit; a relay makes the batches."""
    prefill(testbed, job)
    with stage(testbed, worker_settings) as before:
        testbed.show("making batches")
        before.workers.start("relay")
        before.workers.work("relay", job.total)
        short_way = before.short_way()
    with stage(testbed, worker_settings) as running:
        testbed.show("loading")
        first = running.workers.start("loader", worker_settings.loaders)
        last = running.workers.work("loader", job.total)
        running.workers.stop("loader")
    check_loaded(testbed, job, first)
    return running.result(
        "loader", job, worker_settings, first=first, last=last, short_way=short_way
    )


def run_drain(testbed: Testbed, job: Job, worker_settings: WorkerSettings) -> Result:
    """Both together, from the first delivery to a relay to the last commit of a loader."""
    prefill(testbed, job)
    with stage(testbed, worker_settings) as running:
        testbed.show("draining")
        running.workers.start("loader", worker_settings.loaders)
        first = running.workers.start("relay", worker_settings.relays)
        last = running.workers.work("loader", job.total)
        short_way = running.short_way()
        running.workers.stop("relay")
        running.workers.stop("loader")
    check_loaded(testbed, job, first)
    found = running.result(
        "drain", job, worker_settings, first=first, last=last, short_way=short_way
    )
    return replace(found, queue=times(testbed.servers.database_url, first).queue)
