"""Limits of a fleet, and its command-line types and options."""

from pathlib import Path
from typing import Any

import click

from runtime.options import DIRECTORY, Decorator

#: Most clients of a fleet; the store and the loops are designed for this many on one machine.
MAX_CLIENTS = 100_000
#: Highest average of state messages that a client records in a forward cycle.
MAX_MESSAGES = 10_000

CLIENTS = click.IntRange(1, MAX_CLIENTS)
MESSAGES = click.FloatRange(0, MAX_MESSAGES)
SEED = click.IntRange(0, 2**63 - 1)
SHARE = click.FloatRange(0, 1)

#: Default directory of a fleet's store.
FLEET = Path(".statesys/fleet")


def fleet_option(text: str, **more: Any) -> Decorator:
    """Make the option `--fleet`, the directory of a store.

    Args:
        text: the help text.
        more: further arguments of `click.option`.
    """
    return click.option("--fleet", "directory", type=DIRECTORY, help=text, **more)
