"""`statesys status`."""

import sys

import click

from console.output import print_json, stdout
from console.status.gather import gather
from console.status.view import show
from runtime.command import settings_and_logs
from runtime.options import json_option


@click.command()
@json_option
def status(*, as_json: bool) -> None:
    """Show queues, dead letters, clients, messages, missing ranges and resyncs.

    At most 10,000 dead letters are read; they all stay in their queue. When the broker or the
    database is away, the other half is shown, and the command exits with 3 or 4.

    \b
    Example:
      statesys status
      watch statesys status
      statesys status --json | jq .database.totals.clients
    """
    found = gather(settings_and_logs())
    if as_json:
        print_json(found)
    else:
        show(found, stdout())
    sys.exit(found.exit_code)
