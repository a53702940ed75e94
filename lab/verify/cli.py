"""`statesys verify`."""

import sys
from datetime import timedelta
from pathlib import Path

import click

from console.output import print_json, stdout
from lab.servers import Servers
from lab.verify.verifying import verify as look
from lab.verify.view import show, waiting
from producers.options import FLEET, fleet_option
from runtime.command import settings_and_logs
from runtime.options import DurationType, json_option
from schemas.errors import ExitCode


@click.command()
@fleet_option("Directory of the fleet's store.", default=FLEET, show_default=True)
@click.option(
    "--timeout",
    type=DurationType(),
    default="60s",
    show_default=True,
    help="How long to wait for the work queues to become empty.",
)
@json_option
def verify(*, directory: Path, timeout: timedelta, as_json: bool) -> None:
    """Prove that what a fleet's clients sent is what the server has.

    Waits until nothing is on its way, then looks for every message and every state of every
    client of the store. Takes no message out of a work queue; the fleet may go on running.
    Exits with 1 when one message is unaccounted for or altered, or one state differs.

    \b
    Example:
      statesys verify --fleet .statesys/demo/fleet
      statesys verify --timeout 5m --json
    """
    settings = settings_and_logs()
    outcome = look(directory, Servers.of(settings), timeout=timeout.total_seconds())
    if as_json:
        print_json(
            {"verified": False, "waiting": str(outcome.backlog)}
            if outcome.tally is None
            else outcome.tally.as_data()
        )
    elif outcome.tally is None:
        click.echo(waiting(outcome.backlog))
    else:
        show(outcome.tally, stdout())
    if not outcome.verified:
        sys.exit(ExitCode.FAILED)
