"""A full queue: where every run but the constant rate begins."""

from console.bench.feed import Feed
from console.bench.ground import Ground
from console.bench.job import Job
from console.bench.reports import reports


def prefill(ground: Ground, job: Job) -> None:
    """Start with empty tables and all reports of a job in `mp_relayendpoint`."""
    ground.clear()
    with Feed(ground.servers.amqp_url, ground.show) as feed:
        for report in reports(job):
            feed.send(report)
