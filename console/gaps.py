"""`statesys gaps`: the missing ranges."""

import click

from console.due import asked_words, due_words
from console.listing import limit_option
from console.output import age, counted, moment, print_json, stdout, table
from console.places import page_of
from console.queries import Queries
from console.reading import snapshot
from runtime.options import ClientType, GivenClient, json_option
from runtime.rules import given_rules
from runtime.setting_options import site_rule


@click.command()
@click.argument("client", metavar="[CLIENT]", type=ClientType(), required=False)
@click.option("--all", "closed", is_flag=True, help="Closed ranges too.")
@limit_option("Ranges", default=1000)
@site_rule("min_missing_message_age")
@site_rule("resync_merge_interval")
@json_option
def gaps(
    *, client: GivenClient | None, closed: bool, limit: int, as_json: bool, **flags: str | None
) -> None:
    """List missing ranges: serials below a client's highest that never arrived. Oldest first.

    "due" tells when the client is asked for its state, or why it is not, by the rules of the site.
    With rules as flags, it tells the same as if the site had those rules.

    \b
    Example:
      statesys gaps
      statesys gaps --all GUID:AA9C5F9F-24C2-4B2A-8C4E-0A1B2C3D4E5F
      statesys gaps --min-missing-message-age 1h
    """
    given = given_rules(**flags)
    with snapshot(Queries, name="statesys gaps") as queries:
        client_id = None if client is None else queries.known(client).client_id
        now, rules = queries.now(), queries.rules()._replace(**given)
        found = queries.missing(client_id, closed=closed, limit=limit + 1, now=now, rules=rules)

    shown, last = page_of(found, limit)
    if as_json:
        print_json(shown)
    else:
        rows = [
            (
                row.client_name,
                row.client_id,
                f"{row.first_serial}-{row.last_serial}" + (" merged" if row.merged else ""),
                age(now - row.detected_at),
                asked_words(row),
                due_words(row.due_at, row.held_by, now) if row.closed_at is None else "",
                "" if row.closed_at is None else f"{row.closed_how} {moment(row.closed_at)}",
            )
            for row in shown
        ]
        columns = ["client", "id", "serials", "age", "resync", "due", "closed"]
        width = len(columns) if closed else len(columns) - 1
        stdout().print(table(columns[:width], (row[:width] for row in rows)))
    more = "" if last is None else " (there are more: --limit)"
    click.echo(f"{counted(len(shown), 'range')}{more}", err=True)
