"""`statesys messages`: the history, newest first."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import click

from console.csv_output import csv_option, print_csv
from console.listing import going_on, limit_option
from console.messages.following import follow
from console.messages.search import Search, filter_of, search
from console.messages.view import COLUMNS, as_data, cells, show
from console.output import moment, print_json
from console.queries import Queries
from console.queries.messages import FoundMessage
from console.reading import reading
from console.topic_type import TopicType
from runtime.command import settings_without_logs
from runtime.options import ClientType, DurationType, GivenClient, MomentType, json_option

#: Messages of one search at most.
_PAGE = 1000


@click.command()
@click.option("--client", type=ClientType(), metavar="CLIENT", help="Only messages of this client.")
@click.option("--topic-type", type=TopicType(), metavar="TYPE", help="Only of this topic type.")
@click.option("--topic-id", metavar="TOPIC_ID", help="Only of this topic.")
@click.option(
    "--state", metavar="STATE", help="Only in this state of the type: its id, or its name."
)
@click.option(
    "--within",
    type=DurationType(),
    metavar="DURATION",
    help="Loaded within this time before --until. [default: 1h; any time with --client]",
)
@click.option(
    "--until", type=MomentType(), metavar="MOMENT", help="Loaded before this moment. [default: now]"
)
@click.option("--after", metavar="WORD", help="Go on where the last call stopped, as it told.")
@limit_option("Messages")
@click.option(
    "--follow", "is_followed", is_flag=True, help="Then show what is loaded, until Ctrl-C."
)
@csv_option
@json_option
def messages(
    *,
    client: GivenClient | None,
    topic_type: int | None,
    topic_id: str | None,
    state: str | None,
    within: timedelta | None,
    until: datetime | None,
    after: str | None,
    limit: int,
    is_followed: bool,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Look through the history: what was loaded last comes first, with names instead of codes.

    The messages of one client come by serial, the highest first, then those without a serial.
    With --follow the oldest line comes first, and --json prints one document a line.

    \b
    Example:
      statesys messages --within 10m
      statesys messages --topic-type 402 --state 'Failed to install update(s)' --csv \\
          --within 1d --limit 1000000 > failed.csv
      statesys messages --client NB-000017 --follow
    """
    if is_followed and (as_csv or until is not None or after is not None):
        raise click.UsageError("--follow excludes --csv, --until and --after")
    chosen = filter_of(topic_type, topic_id, state, option="--state")
    asked = Search(client, chosen, within, until, after, limit)
    settings = settings_without_logs()
    with reading(
        Queries, settings, name="statesys messages", says_age_first=is_followed
    ) as queries:
        if is_followed:
            follow(queries, asked, as_json=as_json)
            return
        now = queries.now()
        found = _Listed(queries, asked, now)
        listed = [] if as_csv else list(found)
        if as_csv:
            print_csv(COLUMNS, map(cells, found))
    if as_json:
        print_json({"as_of": now, "messages": list(map(as_data, listed)), "next": found.following})
        return
    if not as_csv:
        show(listed)
    told = f"{found.count:,} listed as of {moment(now)} UTC"
    click.echo(told + going_on(found.following), err=True)


class _Listed:
    """So many messages of a search, read page by page, each in a snapshot of its own.

    Attributes:
        count: messages so far.
        following: where the list goes on; None: it ends here.
    """

    def __init__(self, queries: Queries, asked: Search, now: datetime) -> None:
        self._queries, self._asked, self._now = queries, asked, now
        self.count = 0
        self.following = asked.after

    def __iter__(self) -> Iterator[FoundMessage]:
        while self.count < self._asked.limit:
            asked = self._asked._replace(
                after=self.following, limit=min(_PAGE, self._asked.limit - self.count)
            )
            with self._queries.snapshot():
                page = search(self._queries, asked, now=self._now)
            self.count += len(page.messages)
            self.following = page.following
            yield from page.messages
            if page.following is None:
                return
