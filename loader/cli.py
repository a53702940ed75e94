"""Commands of the loader: `loader`, `resync` and `client`."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import click

from loader.migrations import migrate as apply
from loader.quarantine_cli import quarantine, quarantined, release
from loader.service import Loader
from loader.store import ResyncStore
from runtime.command import settings_and_logs
from runtime.options import (
    client_argument,
    exit_when_empty_option,
    json_option,
    log_options,
    setting,
    site_rule,
)
from runtime.rules import given_rules
from runtime.workers.signals import Stop
from schemas.errors import StatesysError


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
    settings = settings_and_logs(**flags)
    Loader(settings, Stop().install()).run(exit_when_empty=exit_when_empty)


@loader.command()
def migrate() -> None:
    """Create or update the tables; safe to run again.

    \b
    Example:
      statesys loader migrate
    """
    applied = apply(settings_and_logs().required_database_url())
    click.echo("applied " + ", ".join(applied) if applied else "nothing to do", err=True)


@click.group()
def resync() -> None:
    """Ask clients for their whole state."""


@resync.command()
@click.option("--dry-run", is_flag=True, help="Only list who would be asked, and why.")
@site_rule("resync_check_interval")
@site_rule("min_missing_message_age")
@site_rule("resync_merge_interval")
@site_rule("resyncs_per_check")
@json_option
def check(*, dry_run: bool, as_json: bool, **flags: str | None) -> None:
    """Look now for clients that are due; a running loader sends the requests.

    The requests are spread over the check interval. This check uses the rules of the site; flags
    replace single rules.

    \b
    Example:
      statesys resync check --dry-run
    """
    given = given_rules(**flags)
    with _resyncs(
        min_missing_age=given.get("min_missing_message_age"),
        merge_interval=given.get("resync_merge_interval"),
    ) as store:
        now, rules = store.now(), store.rules()._replace(**given)
        limit, spread = rules.resyncs_per_check, rules.resync_check_interval
        due = (
            store.preview(now=now, limit=limit)
            if dry_run
            else store.check(now=now, limit=limit, with_missing=True, spread=spread)
        )
    rows = [
        {"client_id": str(d.client_id), "reason": d.reason.value, "since": d.since.isoformat()}
        for d in due
    ]
    if as_json:
        click.echo(json.dumps(rows))
    else:
        for row in rows:
            click.echo(f"{row['client_id']}  {row['reason']:<13}  since {row['since']}")
        click.echo(f"{len(rows)} clients {'would be' if dry_run else 'are'} asked", err=True)


@resync.command()
@client_argument
def request(client_id: UUID) -> None:
    """Ask one client now, regardless of the intervals; a running loader sends the request.

    Also clears a duplicate identity.

    \b
    Example:
      statesys resync request f1b03089-9ea1-4a64-83dc-5f8e77bddeb4
    """
    with _resyncs() as store:
        request_id = store.request(client_id, now=store.now())
    if request_id is None:
        raise StatesysError(f"client {client_id} is not known; nothing of it ever arrived")
    click.echo(str(request_id))


@click.group()
def client() -> None:
    """Manage the clients in the database."""


@client.command()
@client_argument
@click.confirmation_option(prompt="Forget this client's states, ranges and requests?")
def forget(client_id: UUID) -> None:
    """Remove a client; its history stays until its partitions are dropped.

    \b
    Example:
      statesys client forget f1b03089-9ea1-4a64-83dc-5f8e77bddeb4 --yes
    """
    with _resyncs() as store:
        known = store.forget(client_id)
    if not known:
        raise StatesysError(f"client {client_id} is not known")
    click.echo(f"forgot {client_id}", err=True)


client.add_command(quarantine)
client.add_command(release)
client.add_command(quarantined)


@contextmanager
def _resyncs(**rules: timedelta | None) -> Iterator[ResyncStore]:
    """Open the request store of the configured database, after a check of its schema version."""
    url = settings_and_logs().required_database_url()
    with closing(ResyncStore(url, name="statesys resync", **rules)) as store:
        store.require_current_tables()
        yield store
