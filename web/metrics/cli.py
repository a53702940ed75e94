"""`statesys metrics`."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from prometheus_client.exposition import generate_latest

from console.queries import Queries
from runtime.command import settings_and_logs
from runtime.files import write_private
from runtime.settings import Settings
from web.metrics.collector import SiteMetrics


@click.command()
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write them to FILE in one step, for node_exporter's textfile collector.",
)
def metrics(*, output: Path | None) -> None:
    """Print the metrics of the site in Prometheus' text format.

    The same as /metrics of `statesys web`. When the broker or the database is away, what is known
    is written, with statesys_up 0 for that server, and the command exits with 3 or 4.

    \b
    Example:
      statesys metrics
      statesys metrics --output /var/lib/prometheus/node-exporter/statesys.prom
    """
    settings = settings_and_logs()
    site = SiteMetrics(settings, lambda: _queries(settings))
    text = generate_latest(site)
    if output is None:
        click.echo(text, nl=False)
    else:
        _write(output, text)
    measured = site.measured()
    for trouble in measured.troubles:
        click.echo(f"unknown: {trouble}", err=True)
    # Why dead letters are not known is in the log, which is stderr too.
    sys.exit(measured.exit_code or (site.letters_trouble or measured).exit_code)


@contextmanager
def _queries(settings: Settings) -> Iterator[Queries]:
    url = settings.required_database_url()
    with Queries.open(url, name="statesys metrics") as queries, queries.snapshot():
        yield queries


def _write(path: Path, text: bytes) -> None:
    """Replace a file in one step: the collector never reads half of it."""
    # The collector reads files that end in .prom only; its process may be another user's.
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write_private(part, text.decode(), mode=0o644)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
