"""Several settings, one run each."""

from collections.abc import Iterator, Sequence
from itertools import product

import click

from console.bench.job import Crew
from runtime.settings import load_settings

#: Name of a sweep -> the setting behind it.
_SETTINGS = {"threads": "loader_threads", "chunk": "loader_chunk_size"}


def crews(crew: Crew, sweeps: Sequence[str]) -> Iterator[Crew]:
    """Every combination of the values that are to be tried.

    Args:
        crew: has the values that are not swept.
        sweeps: such as `threads=1,2,4` and `chunk=64,256`; one text may hold both.

    Raises:
        click.BadParameter: it cannot be read.
        SettingsError: a value is none for the setting.
    """
    chosen = {"threads": [str(crew.threads)], "chunk": [str(crew.chunk_size)]}
    for part in (part for sweep in sweeps for part in sweep.split()):
        name, _, values = part.partition("=")
        if name not in chosen or not values:
            raise click.BadParameter(
                f"{part!r}: write threads=1,2,4 or chunk=64,256", param_hint="--sweep"
            )
        chosen[name] = values.split(",")
    for threads, chunk in product(chosen["threads"], chosen["chunk"]):
        settings = load_settings(
            **{_SETTINGS["threads"]: threads, _SETTINGS["chunk"]: chunk},
        )
        yield crew._replace(threads=settings.loader_threads, chunk_size=settings.loader_chunk_size)
