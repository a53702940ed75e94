"""Commands of the loader: `loader` and `client`."""

from typing import TYPE_CHECKING, Any

import click

from loader.resync_cli import open_resyncs
from runtime.command import settings_and_logs
from runtime.options import (
    GivenClient,
    client_argument,
    exit_when_empty_option,
    log_options,
    setting,
)
from runtime.workers.signals import Stop
from schemas.errors import StatesysError

if TYPE_CHECKING:
    pass


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

    \b
    Example:
      statesys loader run --threads 8 --chunk-size 1024
      statesys loader run --resync-check-interval 2s --min-missing-message-age 3s
    """
    # Imported late, here and below: the grammar of reports and psycopg take 0.3 s, which --help
    # does not need.
    from loader.service import Loader  # noqa: PLC0415

    settings = settings_and_logs(**flags)
    Loader(settings, Stop().install()).run(exit_when_empty=exit_when_empty)


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


@click.group("client")
def client_group() -> None:
    """Manage the clients in the database."""


@client_group.command()
@client_argument
@click.confirmation_option(prompt="Forget this client's states, ranges and requests?")
def forget(client: GivenClient) -> None:
    """Remove a client; its history stays until its partitions are dropped.

    \b
    Example:
      statesys client forget f1b03089-9ea1-4a64-83dc-5f8e77bddeb4 --yes
    """
    with open_resyncs() as store:
        client_id = store.client_id_of(client)
        known = store.forget(client_id)
    if not known:
        raise StatesysError(f"client {client_id} is not known")
    click.echo(f"forgot {client_id}", err=True)
