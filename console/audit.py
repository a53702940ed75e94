"""`statesys audit`: who changed something through the viewer."""

from operator import attrgetter

import click

from console.csv_output import csv_option
from console.listing import going_on, limit_option, print_rows
from console.output import print_json
from console.places import page_of
from console.queries.audit import AuditQueries
from console.reading import snapshot
from runtime.options import json_option

_COLUMNS = ("entry", "when", "who", "from", "action", "the same on a terminal", "ended", "result")
_cells = attrgetter("id", "at", "who", "address", "action", "command", "ended_at", "outcome")


@click.command()
@click.option(
    "--after",
    metavar="ENTRY",
    type=click.IntRange(1, 2**63 - 1),
    help="Begin behind this entry, with older ones.",
)
@limit_option("Entries")
@csv_option
@json_option
def audit(*, after: int | None, limit: int, as_csv: bool, as_json: bool) -> None:
    """List who did what through the viewer, and when, newest first.

    An entry is written before its action. One without a result is of an action that runs, or whose
    viewer died meanwhile. What commands do on a terminal is not in this list.

    \b
    Example:
      statesys audit
      statesys audit --limit 1000000 --csv > audit.csv
    """
    with snapshot(AuditQueries, name="statesys audit") as queries:
        now = queries.now()
        found = queries.audit(limit=limit + 1, after=after)
    shown, last = page_of(found, limit)
    following = None if last is None else last.id
    if as_json:
        print_json({"as_of": now, "entries": shown, "next": following})
        return
    print_rows(_COLUMNS, map(_cells, shown), as_csv=as_csv)
    click.echo(f"{len(shown):,} listed{going_on(following)}", err=True)
