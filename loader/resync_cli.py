"""Commands that ask clients for their whole state, and the store behind them."""

import json
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from loader.asking import ask, summary
from runtime.command import settings_and_logs
from runtime.options import ClientType, GivenClient, json_option
from runtime.rules import given_rules
from runtime.setting_options import site_rule

if TYPE_CHECKING:
    from loader.store.resyncs import ResyncStore


#: First lines of lists that name their column.
_HEADERS = frozenset({"id", "name", "client", "client_id"})


def open_resyncs(**rules: timedelta | None) -> AbstractContextManager["ResyncStore"]:
    """Open the request store of the configured database, after a check of its schema version."""
    from loader.store.resyncs import ResyncStore  # noqa: PLC0415
    from loader.store.shared import checked  # noqa: PLC0415

    url = settings_and_logs().required_database_url()
    return checked(ResyncStore(url, name="statesys resync", **rules))


@click.command()
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
    with open_resyncs(
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


@click.command()
@click.argument("clients", metavar="CLIENT", type=ClientType(), nargs=-1)
@click.option(
    "--from",
    "listed",
    type=click.File(encoding="utf-8", errors="replace"),
    metavar="FILE",
    help="Clients of a list, one id or name a line; - is stdin.",
)
@click.option("--collection", metavar="NAME", help="Its members, as a loader evaluated them last.")
@click.option("--dry-run", is_flag=True, help="Only say how many would be asked, over how long.")
@json_option
def request(
    *,
    clients: tuple[GivenClient, ...],
    listed: Iterable[str] | None,
    collection: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Ask clients now, whatever the intervals say; a running loader sends the requests.

    One client is asked at once. Several are asked one after another, no more in a check interval
    than a check would ask, and not under backlog. A client with an open request is left out. Also
    clears a duplicate identity.

    \b
    Example:
      statesys resync request NB-000017
      statesys resync request --collection Waiting --dry-run
      statesys clients --condition gaps --csv | cut -d, -f2 | statesys resync request --from -
    """
    given = [*clients, *_listed(listed or ())]
    if not given and collection is None:
        raise click.UsageError("name clients or a collection, or give a list with --from")
    alone = len(given) == 1 and collection is None and not dry_run
    with open_resyncs() as store:
        made = ask(store, given, collection=collection, dry_run=dry_run)
    if as_json:
        requests = {str(client): str(request) for client, request in made.requests}
        counts = {"asked": len(requests) or made.askable, "seconds": made.spread.total_seconds()}
        click.echo(json.dumps({"as_of": made.at.isoformat(), **counts, "requests": requests}))
    elif alone:
        click.echo(str(made.requests[0][1]))
    else:
        for client, request_id in made.requests:
            click.echo(f"{client}  {request_id}")
        click.echo(summary(made, dry_run=dry_run), err=True)


def _listed(lines: Iterable[str]) -> Iterator[GivenClient]:
    """The clients of a list; empty lines and a header of a CSV are skipped.

    Raises:
        UsageError: a line is neither an id nor a name.
    """
    for number, line in enumerate(lines, 1):
        text = line.strip().strip('"')
        if text and not (number == 1 and text.lower() in _HEADERS):
            try:
                yield ClientType().convert(text, None, None)
            except click.BadParameter as error:
                raise click.UsageError(f"line {number} of the list: {error.message}") from None
