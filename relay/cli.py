"""Commands of the relay."""

from typing import Any

import click

from runtime.command import settings_and_logs
from runtime.options import exit_when_empty_option
from runtime.setting_options import log_options, setting
from runtime.workers.signals import Stop


@click.group()
def relay() -> None:
    """Turn reports into SMX, and SMX into batches."""


@relay.command()
@setting("batch_size", "--batch-size")
@setting("batch_linger", "--linger")
@setting("max_report_size")
@log_options
@exit_when_empty_option
def run(*, exit_when_empty: bool, **flags: Any) -> None:
    """Run a relay until it is stopped. Start several to share the work.

    On SIGTERM the relay finishes its open batches. A second SIGTERM ends it at once. No report is
    lost in either case.

    \b
    Example:
      statesys relay run --batch-size 512 --linger 20ms
    """
    # Imported late: compiling the grammar of reports alone takes 0.1 s, which --help does not need.
    from relay.service import Relay  # noqa: PLC0415

    settings = settings_and_logs(log="mp_relay", **flags)
    Relay(settings, Stop().install()).run(exit_when_empty=exit_when_empty)
