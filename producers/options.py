"""What a fleet may be, and the parts of a command line that tell of one."""

from pathlib import Path
from typing import Any

import click

from runtime.options import DIRECTORY, Decorator

#: Clients of a fleet; the store and the loops are made for this many on one machine.
MAX_CLIENTS = 100_000
#: State messages that a client records in a forward cycle, on average.
MAX_MESSAGES = 10_000

CLIENTS = click.IntRange(1, MAX_CLIENTS)
MESSAGES = click.FloatRange(0, MAX_MESSAGES)
SEED = click.IntRange(0, 2**63 - 1)
SHARE = click.FloatRange(0, 1)

#: Where a fleet's store is, unless somebody says otherwise.
FLEET = Path(".statesys/fleet")


def fleet_option(text: str, **more: Any) -> Decorator:
    """The option `--fleet`: the directory of a store."""
    return click.option("--fleet", "directory", type=DIRECTORY, help=text, **more)
