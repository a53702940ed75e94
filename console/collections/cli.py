"""Commands of collections: `create`, `list`, `show`, `members` and `delete`."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from console.collections.view import print_collection, print_collections, print_members
from console.csv_output import csv_option
from console.queries.collections import CollectionQueries, CollectionRow
from runtime.collection_rules import Rule, RuleRefused, parse_rule, require_collection_name
from runtime.command import settings_and_logs
from runtime.options import ClientType, DurationType, GivenClient, json_option
from schemas.errors import StatesysError, UnknownCollection

if TYPE_CHECKING:
    from loader.store import CollectionStore

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
    require_collection_name(name)
    text = rule.strip()
    parse_rule(rule)
    with _store() as store:
        made = store.create(name, text, replace=replace)
    if not made:
        raise click.UsageError(
            f"there is a collection {name!r} already; --replace gives it another rule"
        )
    click.echo(
        f"made collection {name}; `statesys collections members {name}` lists its members now, "
        "a loader notes within a minute who they are",
        err=True,
    )


@collections.command(name="list")
@json_option
def list_(*, as_json: bool) -> None:
    """List the collections, with the members that the last evaluation found.

    \b
    Example:
      statesys collections list
    """
    with _queries() as queries:
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
    with _queries() as queries:
        found, now, counted = _known(queries, name), queries.now(), None
        if found.evaluated_at is None or queries.countable():
            counted = _counted(queries, found)
    print_collection(found, counted, now=now, as_json=as_json)


@collections.command()
@_name_argument
@click.option(
    "--joined-since",
    type=DurationType(),
    metavar="DURATION",
    help="Only who became a member in this time; to the accuracy of the evaluations, 5m.",
)
@click.option(
    "--limit", type=click.IntRange(1), default=1000, show_default=True, help="Clients at most."
)
@click.option(
    "--after", type=ClientType(), metavar="CLIENT", help="Go on behind this client of a page."
)
@csv_option
@json_option
def members(
    *,
    name: str,
    joined_since: timedelta | None,
    limit: int,
    after: GivenClient | None,
    as_csv: bool,
    as_json: bool,
) -> None:
    """List the clients that fulfil the rule of a collection now, by client id.

    "joined" is the evaluation that met a client first; who has joined since the last one has none.

    \b
    Example:
      statesys collections members Waiting
      statesys collections members Waiting --joined-since 1h --csv > new.csv
    """
    if as_csv and as_json:
        raise click.UsageError("choose --csv or --json")
    with _queries() as queries:
        found, now = _known(queries, name), queries.now()
        # One row more than is shown tells whether there are more.
        rows = queries.members(
            found,
            _rule_of(found),
            limit=limit + 1,
            after=None if after is None else queries.client_id_of(after),
            joined_since=None if joined_since is None else now - joined_since,
            now=now,
        )
    print_members(
        found, rows[:limit], more=len(rows) > limit, now=now, as_csv=as_csv, as_json=as_json
    )


@collections.command()
@_name_argument
@click.confirmation_option(prompt="Delete this collection, and who joined it when?")
def delete(*, name: str) -> None:
    """Delete a collection; its clients stay as they are.

    \b
    Example:
      statesys collections delete Waiting --yes
    """
    with _queries() as queries:
        found = _known(queries, name)
    with _store() as store:
        store.delete(found.name)
    click.echo(f"deleted collection {found.name}; its rule was: {found.rule}", err=True)


def _known(queries: CollectionQueries, name: str) -> CollectionRow:
    require_collection_name(name)
    found = queries.collection(name)
    if found is None:
        raise UnknownCollection(name)
    return found


def _rule_of(collection: CollectionRow) -> Rule:
    """The rule of a collection as it is stored.

    Raises:
        StatesysError: it is one of another version, whose rules differ.
    """
    try:
        return parse_rule(collection.rule)
    except RuleRefused as error:
        raise StatesysError(
            f"this version cannot read the rule of collection {collection.name}, which another "
            f"one stored: {error}; upgrade, or give it another rule with `statesys collections "
            "create --replace`"
        ) from None


def _counted(queries: CollectionQueries, collection: CollectionRow) -> dict[str, int] | None:
    """Members by condition at this moment; None if this version cannot read the rule."""
    try:
        rule = parse_rule(collection.rule)
    except RuleRefused:
        return None
    return queries.member_conditions(rule)


@contextmanager
def _queries() -> Iterator[CollectionQueries]:
    url = settings_and_logs().required_database_url()
    with CollectionQueries.open(url, name=_NAME) as queries:
        yield queries


@contextmanager
def _store() -> "Iterator[CollectionStore]":
    # Imported late: it takes a tenth of a second, and most commands of this file only read.
    from loader.store import CollectionStore  # noqa: PLC0415

    url = settings_and_logs().required_database_url()
    with closing(CollectionStore(url, name=_NAME)) as store:
        store.require_current_tables()
        yield store
