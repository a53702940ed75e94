"""Commands of collections: `create`, `list`, `show`, `members` and `delete`."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from console.collections import changing, gather
from console.collections.gather import conditions_now, known
from console.collections.view import print_collection, print_collections, print_members
from console.csv_output import csv_option
from console.listing import limit_option
from console.places import page_of
from console.queries.collections import CollectionQueries
from console.reading import snapshot
from runtime.command import settings_without_logs
from runtime.options import ClientType, DurationType, GivenClient, json_option

if TYPE_CHECKING:
    from loader.store.collections import CollectionStore

_NAME = "statesys collections"
_name_argument = click.argument("name", metavar="NAME")


@click.group()
def collections() -> None:
    """Clients that a rule picks out, by their current states, name, version and condition."""


@collections.command()
@_name_argument
@click.argument("rule", metavar="RULE")
@click.option("--replace", is_flag=True, help="Give a collection that exists this rule.")
def create(*, name: str, rule: str, replace: bool) -> None:
    """Make a collection. A loader finds its members within a minute, and then every five.

    A rule is made of terms, joined by and, or, not, any(...), all(...) and brackets:

    \b
      state(301) = 3                     some current state of topic type 301 is 3
      state(301) = 'Waiting for restart' the same by the name of a state
      state(402, '{topic id}') in (3, 4) of this topic only
      every(301) = 4                     there are some, and each is 4
      no state(301)                      there is none
      name like 'NB-*'                   * any text, ? one character, any letter case
      version < '5.00.9122'              compared part by part, as numbers
      seen < 7d                          last seen less than 7 days ago
      condition = gaps                   or complete, silent, quiet, duplicate identity

    \b
    Example:
      statesys collections create Waiting "state(301) = 3 and seen < 7d"
      statesys collections create --replace Old "version < '5.00.9122' or seen > 30d"
    """
    with _store() as store:
        done = changing.make(store, name, rule, replace=replace)
    click.echo(done, err=True)


@collections.command(name="list")
@json_option
def list_(*, as_json: bool) -> None:
    """List the collections, with the members that the last evaluation found.

    \b
    Example:
      statesys collections list
    """
    with snapshot(CollectionQueries, name=_NAME) as queries:
        found, now = queries.collections(), queries.now()
    print_collections(found, now=now, as_json=as_json)


@collections.command()
@_name_argument
@json_option
def show(*, name: str, as_json: bool) -> None:
    """Show a collection: its rule, how many members it has, and what is the matter with them.

    Members are counted now on a small site; on a large one, they are those of the last evaluation.

    \b
    Example:
      statesys collections show Waiting
    """
    with snapshot(CollectionQueries, name=_NAME) as queries:
        found, now, counted = known(queries, name), queries.now(), None
        if found.evaluated_at is None or queries.countable():
            counted = conditions_now(queries, found)
    print_collection(found, counted, now=now, as_json=as_json)


@collections.command()
@_name_argument
@click.option(
    "--joined-since",
    type=DurationType(),
    metavar="DURATION",
    help="Only who became a member in this time; to the accuracy of the evaluations, 5m.",
)
@limit_option("Clients", default=1000)
@click.option(
    "--after", type=ClientType(), metavar="CLIENT", help="Go on behind this client of a page."
)
@click.option("--now", "at_once", is_flag=True, help="On a large site, too: evaluate the rule now.")
@csv_option
@json_option
def members(
    *,
    name: str,
    at_once: bool,
    joined_since: timedelta | None,
    limit: int,
    after: GivenClient | None,
    as_csv: bool,
    as_json: bool,
) -> None:
    """List the clients that fulfil the rule of a collection, by client id.

    The rule is evaluated now; on a large site, its members are those of the last evaluation by a
    loader, which is stated, unless --now says otherwise: a rule that few clients fulfil then takes
    a minute. "joined" is the evaluation that met a client first; who has joined since the last one
    has none.

    \b
    Example:
      statesys collections members Waiting
      statesys collections members Waiting --joined-since 1h --csv > new.csv
    """
    with snapshot(CollectionQueries, name=_NAME) as queries:
        found = known(queries, name)
        as_of, rows = gather.members(
            queries,
            found,
            limit=limit + 1,
            after=None if after is None else queries.client_id_of(after),
            joined_since=joined_since,
            at_once=at_once,
        )
    shown, last = page_of(rows, limit)
    print_members(found, shown, last, as_of=as_of, as_csv=as_csv, as_json=as_json)


@collections.command()
@_name_argument
@click.confirmation_option(prompt="Delete this collection, and who joined it when?")
def delete(*, name: str) -> None:
    """Delete a collection; its clients stay as they are.

    \b
    Example:
      statesys collections delete Waiting --yes
    """
    # The server that is written to: a standby may not know the collection yet.
    url = settings_without_logs().required_database_url()
    with CollectionQueries.open(url, name=_NAME) as queries:
        found = known(queries, name)
    with _store() as store:
        done = changing.delete(store, found)
    click.echo(done, err=True)


@contextmanager
def _store() -> "Iterator[CollectionStore]":
    # Imported late: it takes a tenth of a second, and most commands of this file only read.
    from loader.store.collections import CollectionStore  # noqa: PLC0415

    url = settings_without_logs().required_database_url()
    with closing(CollectionStore(url, name=_NAME)) as store:
        store.require_current_tables()
        yield store
