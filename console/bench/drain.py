"""The standard job: relay and loader drain a full queue at the same time."""

from console.bench.ground import Ground
from console.bench.job import Crew, Job
from console.bench.measures import times
from console.bench.prefill import prefill
from console.bench.result import Result
from console.bench.stage import check_loaded, stage


def run_drain(ground: Ground, job: Job, crew: Crew) -> Result:
    """From the first delivery to a relay to the last commit of a loader."""
    prefill(ground, job)
    with stage(ground, crew) as running:
        workers, meter = running
        ground.show("draining")
        workers.start("loader", crew.loaders)
        first = workers.start("relay", crew.relays)
        last = workers.work("loader", job.total)
        workers.stop("relay")
        workers.stop("loader")
    check_loaded(ground, job, first)
    return Result(
        kind="drain",
        job=job,
        crew=crew,
        reports=job.reports,
        messages=job.total,
        seconds=last - first,
        cpu=meter.cpu(first, last),
        peak=running.peak(),
        queue=times(ground.servers.database_url, first).queue,
    )
