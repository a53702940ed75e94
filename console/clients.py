"""`statesys clients`: which clients there are, and how they are."""

from datetime import timedelta
from operator import attrgetter

import click

from console.completeness import sentence
from console.csv_output import csv_option
from console.listing import going_on, limit_option, print_rows
from console.output import moment, print_json
from console.places import page_of
from console.queries import Queries
from console.queries.clients import ClientFilter, ClientKey, Condition, Order
from console.reading import snapshot
from runtime.options import ClientType, DurationType, GivenClient, json_option

_COLUMNS = ("name", "id", "version", "last seen", "last state change", "condition", "states")
_cells = attrgetter(
    "name", "client_id", "version", "last_seen", "last_change", "condition", "states"
)


@click.command()
@click.option(
    "--condition",
    type=click.Choice([condition.value for condition in Condition]),
    help="Only clients in this condition.",
)
@click.option(
    "--stale", type=DurationType(), metavar="DURATION", help="Only clients not heard of so long."
)
@click.option("--name", metavar="PATTERN", help="Only names like this, in any case; * is any text.")
@click.option("--version", metavar="PATTERN", help="Only versions like this; * is any text.")
@click.option(
    "--collection", metavar="NAME", help="Only its members, as a loader evaluated them last."
)
@click.option(
    "--sort",
    type=click.Choice([order.value for order in Order]),
    default=Order.NAME.value,
    show_default=True,
    help="Order; seen lists the longest not heard of first.",
)
@click.option("--after", type=ClientType(), metavar="CLIENT", help="Begin behind this client.")
@limit_option("Clients")
@csv_option
@json_option
def clients(
    *,
    condition: str | None,
    stale: timedelta | None,
    name: str | None,
    version: str | None,
    collection: str | None,
    sort: str,
    after: GivenClient | None,
    limit: int,
    as_csv: bool,
    as_json: bool,
) -> None:
    """List clients: last seen, last change of a state, condition, number of states.

    A client that changed nothing for months is healthy if it was seen lately and is complete.

    \b
    Example:
      statesys clients --condition quiet
      statesys clients --stale 7d --sort seen --csv --limit 1000000
      statesys clients --name 'NB-*' --version '5.00.9106.*'
    """
    chosen = ClientFilter(
        condition=None if condition is None else Condition(condition),
        name=name,
        version=version,
        stale=stale,
        collection=collection,
    )
    with snapshot(Queries, name="statesys clients") as queries:
        now = queries.now()
        evaluated_at = None if collection is None else queries.evaluated(collection)
        found = queries.clients(
            chosen,
            order=Order(sort),
            after=None if after is None else ClientKey.of(queries.known(after)),
            limit=limit + 1,
            now=now,
        )
        completeness = queries.completeness(now=now)
    shown, last = page_of(found, limit)
    following = None if last is None else last.client_id
    if as_json:
        print_json(
            {
                "as_of": now,
                "evaluated_at": evaluated_at,
                "completeness": {"as_of": completeness.as_of, **completeness.clients},
                "clients": shown,
                "next": following,
            }
        )
        return
    print_rows(_COLUMNS, map(_cells, shown), as_csv=as_csv, right=["states"])
    click.echo(f"{len(shown):,} listed{going_on(following)}", err=True)
    if collection is not None:
        click.echo(f"members of {collection} as of {moment(evaluated_at)}", err=True)
    click.echo(sentence(completeness, now), err=True)
