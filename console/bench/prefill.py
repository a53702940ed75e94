"""A full queue: where every run but the constant rate begins."""

from console.bench.feed import Feed
from console.bench.fill import fill
from console.bench.ground import Ground
from console.bench.job import Job
from console.bench.reports import reports


def prefill(ground: Ground, job: Job) -> None:
    """Start with tables as the job wants them and all reports of a job in `mp_relayendpoint`."""
    ground.clear()
    fill(ground.servers.database_url, job.existing, ground.show)
    with Feed(ground.servers.amqp_url, ground.show) as feed:
        for report in reports(job):
            feed.send(report)
