"""`statesys resync`: whom the site asks for the whole state, and what came of it."""

import click

from console.csv_output import csv_option, print_csv
from console.listing import going_on, limit_option
from console.output import moment, print_json, stdout, table
from console.places import behind, paged
from console.queries.resyncs import RequestKey, RequestState, ResyncQueries, SiteRequest
from console.reading import snapshot
from loader.resync_cli import check, request
from runtime.options import json_option

_COLUMNS = ("client", "reason", "requested", "sent", "attempts", "closed", "how")


@click.group()
def resync() -> None:
    """Ask clients for their whole state, and list whom the site asked."""


resync.add_command(check)
resync.add_command(request)


@resync.command(name="list")
@click.option(
    "--state",
    type=click.Choice([state.value for state in RequestState]),
    default=RequestState.PENDING.value,
    show_default=True,
    help="What became of them; pending ones are unsent or sent.",
)
@click.option("--after", metavar="WORD", help="Go on where the last call stopped, as it told.")
@limit_option("Requests")
@csv_option
@json_option
def list_requests(
    *, state: str, after: str | None, limit: int, as_csv: bool, as_json: bool
) -> None:
    """List resync requests: whom the site asked for the whole state, why, and what became of it.

    Open requests come oldest first, closed ones by client. `statesys resync check --dry-run` lists
    whom the next check asks.

    \\b
    Example:
      statesys resync list
      statesys resync list --state unanswered --limit 1000000 --csv > unanswered.csv
    """
    start = behind(after, RequestKey)
    with snapshot(ResyncQueries, name="statesys resync") as queries:
        now = queries.now()
        found = queries.site_requests(RequestState(state), after=start, limit=limit + 1)
    shown, following = paged(found, limit, RequestKey.of)
    if as_json:
        print_json({"as_of": now, "requests": shown, "next": following})
        return
    if as_csv:
        print_csv(SiteRequest._fields, shown)
    else:
        stdout().print(table(_COLUMNS, map(_row, shown), right=["attempts"]))
    click.echo(f"{len(shown):,} {state} as of {moment(now)} UTC{going_on(following)}", err=True)


def _row(one: SiteRequest) -> tuple[object, ...]:
    return (
        one.client_name or one.client_id,
        one.reason,
        moment(one.requested_at),
        moment(one.sent_at),
        one.attempts,
        moment(one.closed_at),
        one.closed_how or "open",
    )
