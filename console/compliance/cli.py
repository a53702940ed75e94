"""`statesys compliance`."""

import click

from console.compliance.gather import Question, count, find
from console.compliance.state import read_state
from console.compliance.view import show_clients, show_totals
from console.csv_output import csv_option
from console.queries.compliance import ComplianceQueries
from console.reading import snapshot
from console.topic_type import TopicType
from runtime.options import ClientType, GivenClient, json_option

#: Clients of a page, unless `--limit` says another number.
_PAGE = 50


def _encodable(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """Refuse bytes that are no UTF-8: no topic id that was loaded has them."""
    try:
        (value or "").encode()
    except UnicodeEncodeError:
        raise click.BadParameter("not valid UTF-8") from None
    return value


@click.command()
@click.argument("topic_type", metavar="TYPE", type=TopicType())
@click.argument("topic_id", metavar="[TOPIC_ID]", required=False, callback=_encodable)
@click.option(
    "--clients",
    "state",
    metavar="STATE",
    callback=_encodable,
    help="List the clients in a state, by its id or name; `never`: those that never told.",
)
@click.option(
    "--after", metavar="CLIENT", type=ClientType(), help="List clients whose id is larger."
)
@click.option(
    "--limit", metavar="N", type=click.IntRange(1), help=f"Clients at most. [default: {_PAGE}]"
)
@click.option(
    "--now", "at_once", is_flag=True, help="On a large site, too: look at all clients now."
)
@json_option
@csv_option
def compliance(
    *,
    topic_type: int,
    topic_id: str | None,
    state: str | None,
    after: GivenClient | None,
    limit: int | None,
    at_once: bool,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Show how many clients are in which state, and how complete these clients are.

    TYPE is a topic type: a number, or a name of the catalogue (`statesys topics`). TOPIC_ID is one
    topic of it, such as one deployment; without it, all topics of the type are taken together.

    Clients are counted, not states: a client whose topics or users have several states counts once
    in each of these states, and once among those that told.

    On a large site the numbers are those that a loader counted within the last hour, and so are
    the clients of a state that few have, unless --now says otherwise: that takes seconds.

    \b
    Example:
      statesys compliance 301
      statesys compliance 301 '{5D9A1B2C-0000-4000-8000-000000000001}'
      statesys compliance SUM_ASSIGNMENT_ENFORCEMENT --clients 'Failed to install update(s)'
      statesys compliance 301 --clients never --csv --limit 1000000 > never.csv
    """
    if state is None and (after is not None or limit is not None or at_once):
        raise click.UsageError("--after, --limit and --now need --clients")
    question = Question(topic_type, topic_id)
    states = None if state is None else read_state(topic_type, state)
    with snapshot(ComplianceQueries, name="statesys compliance") as queries:
        if state is None:
            show_totals(question, count(queries, question), as_json=as_json, as_csv=as_csv)
            return
        start = None if after is None else queries.client_id_of(after)
        found = find(
            queries,
            question,
            state,
            states,
            after=start,
            limit=limit or _PAGE,
            at_once=at_once,
        )
    show_clients(question, found, as_json=as_json, as_csv=as_csv)
