"""Commands of the loader: `loader`."""

from typing import Any

import click

from runtime.command import settings_and_logs
from runtime.options import exit_when_empty_option
from runtime.setting_options import log_options, setting
from runtime.workers.signals import Stop


@click.group()
def loader() -> None:
    """Load batches of SMX into PostgreSQL, and track missing messages."""


@loader.command()
@setting("loader_threads", "--threads")
@setting("loader_chunk_size", "--chunk-size")
@setting("chunks_together")
@setting("max_chunks_fetched")
@setting("inbox_polling_interval")
@setting("resync_check_interval")
@setting("min_missing_message_age")
@setting("resync_merge_interval")
@setting("resyncs_per_check")
@setting("resync_backlog_threshold")
@setting("heartbeat_interval")
@setting("max_missing_ranges")
@setting("retention")
@log_options
@exit_when_empty_option
def run(*, exit_when_empty: bool, **flags: Any) -> None:
    """Run a loader until it is stopped. Start several to share the work.

    A setting that it is not given is the one that `statesys settings import` gave the site, or else
    the default.

    \b
    Example:
      statesys loader run --threads 8 --chunk-size 1024
      statesys loader run --resync-check-interval 2s --min-missing-message-age 3s
    """
    # Imported late, here and below: the grammar of reports and psycopg take 0.3 s, which --help
    # does not need.
    from loader.service import Loader  # noqa: PLC0415
    from loader.starting import settings_at_site  # noqa: PLC0415

    settings = settings_and_logs(**flags)
    stop = Stop().install()
    Loader(settings_at_site(settings), stop).run(exit_when_empty=exit_when_empty)


@loader.command()
def migrate() -> None:
    """Create or update the tables; safe to run again.

    \b
    Example:
      statesys loader migrate
    """
    from loader.migrations import migrate as apply  # noqa: PLC0415

    applied = apply(settings_and_logs().required_database_url())
    click.echo("applied " + ", ".join(applied) if applied else "nothing to do", err=True)
