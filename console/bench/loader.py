"""The loader alone: full queues of batches, made by a relay that is gone."""

from console.bench.ground import Ground
from console.bench.job import Crew, Job
from console.bench.prefill import prefill
from console.bench.result import Result
from console.bench.stage import check_loaded, stage


def run_loader(ground: Ground, job: Job, crew: Crew) -> Result:
    """From the first delivery to the last commit."""
    prefill(ground, job)
    with stage(ground, crew) as (workers, _):
        ground.show("making batches")
        workers.start("relay")
        workers.work("relay", job.total)
    with stage(ground, crew) as (workers, meter):
        ground.show("loading")
        first = workers.start("loader", crew.loaders)
        last = workers.work("loader", job.total)
        workers.stop("loader")
        peak = meter.peak("loader") or 0
    check_loaded(ground, job, first)
    return Result(
        kind="loader",
        job=job,
        crew=crew,
        reports=job.reports,
        messages=job.total,
        seconds=last - first,
        cpu=meter.cpu(first, last),
        peak={"loader": peak},
    )
