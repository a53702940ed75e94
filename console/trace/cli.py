"""`statesys trace`."""

from pathlib import Path

import click

from console.output import print_json, stdout
from console.trace.gather import trace_client, trace_serial
from console.trace.view import show_client, show_serial
from producers.options import fleet_option
from runtime.command import settings_without_logs
from runtime.options import GivenClient, client_argument, json_option
from schemas.serials import FIRST_SERIAL, LAST_SERIAL


@click.command()
@client_argument
@click.argument(
    "serial", metavar="[SERIAL]", type=click.IntRange(FIRST_SERIAL, LAST_SERIAL), required=False
)
@fleet_option(
    "Also ask the store of the client's fleet: what was sent, the outbox, faults on purpose."
)
@json_option
def trace(
    *, client: GivenClient, serial: int | None, directory: Path | None, as_json: bool
) -> None:
    """Tell where a message is, or what became of it; without a serial, sum up the client.

    \b
    Example:
      statesys trace GUID:AA9C5F9F-24C2-4B2A-8C4E-0A1B2C3D4E5F
      statesys trace aa9c5f9f-24c2-4b2a-8c4e-0a1b2c3d4e5f 17 --fleet .statesys/demo/fleet
    """
    settings = settings_without_logs()
    if serial is None:
        summary = trace_client(settings, client, directory)
        if as_json:
            print_json(summary.as_data())
        else:
            show_client(summary, stdout())
    else:
        found = trace_serial(settings, client, serial, directory)
        if as_json:
            print_json(found.as_data())
        else:
            show_serial(found, stdout())
