"""The relay alone: a full queue of reports, and nobody who takes the batches."""

from console.bench.ground import Ground
from console.bench.job import Crew, Job
from console.bench.prefill import prefill
from console.bench.result import Result
from console.bench.stage import stage


def run_relay(ground: Ground, job: Job, crew: Crew) -> Result:
    """From the first delivery to the last confirm."""
    prefill(ground, job)
    with stage(ground, crew) as (workers, meter):
        ground.show("relaying")
        first = workers.start("relay", crew.relays)
        last = workers.work("relay", job.total)
        workers.stop("relay")
        peak = meter.peak("relay") or 0
    return Result(
        kind="relay",
        job=job,
        crew=crew,
        reports=job.reports,
        messages=job.total,
        seconds=last - first,
        cpu=meter.cpu(first, last),
        peak={"relay": peak},
    )
