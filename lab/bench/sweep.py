"""Several jobs and settings, one run each."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

import click

from lab.bench.job import Job, Shape, WorkerSettings
from runtime.settings import load_settings

#: Name of a sweep -> the setting behind it.
_SETTINGS = {"threads": "loader_threads", "chunk": "loader_chunk_size"}


def combinations(
    job: Job, worker_settings: WorkerSettings, sweeps: Sequence[str], shapes: Sequence[Shape]
) -> Iterator[tuple[Job, WorkerSettings]]:
    """Every combination of the values that are to be tried.

    Args:
        job, worker_settings: have the values that are not swept.
        sweeps: such as `reports=20000,40000`, `threads=1,2,4` and `chunk=64,256`; one text may
            hold several.
        shapes: each of them with every combination.

    Raises:
        click.BadParameter: it cannot be read.
        SettingsError: a value is none for the setting.
    """
    chosen = {
        "reports": [str(job.reports)],
        "threads": [str(worker_settings.threads)],
        "chunk": [str(worker_settings.chunk_size)],
    }
    for part in (part for sweep in sweeps for part in sweep.split()):
        name, _, values = part.partition("=")
        if name not in chosen or not values:
            raise click.BadParameter(
                f"{part!r}: write reports=20000,40000, threads=1,2,4 or chunk=64,256",
                param_hint="--sweep",
            )
        chosen[name] = values.split(",")
    for (reports, threads, chunk), shape in product(product(*chosen.values()), shapes):
        settings = load_settings(
            **{_SETTINGS["threads"]: threads, _SETTINGS["chunk"]: chunk},
        )
        yield (
            replace(job, reports=_count(reports), shape=shape),
            worker_settings._replace(
                threads=settings.threads, chunk_size=settings.loader_chunk_size
            ),
        )


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise click.BadParameter(f"{text!r} reports: write a number", param_hint="--sweep")
    return int(text)
