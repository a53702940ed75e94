"""`statesys status`."""

import sys
import time

import click

from console.output import moment, print_json, stdout
from console.status.gather import Status, gather
from console.status.view import show, with_findings
from runtime.command import settings_without_logs
from runtime.options import json_option
from runtime.settings import Settings

#: Seconds between two looks, at least and at most: a look takes a moment, and a day is long.
_PAUSE = (0.2, 86_400.0)


def _require_pause(
    _ctx: click.Context, _parameter: click.Parameter, seconds: float | None
) -> float | None:
    least, most = _PAUSE
    # Not a click.FloatRange, which takes NaN.
    if seconds is None or least <= seconds <= most:
        return seconds
    raise click.BadParameter(f"{seconds} is not in the range {least} to {most:.0f}")


@click.command()
@click.option(
    "--watch",
    "seconds",
    is_flag=False,
    flag_value=2.0,
    type=float,
    callback=_require_pause,
    metavar="[SECONDS]",
    help="Show it again every so many seconds (2), until Ctrl-C.",
)
@json_option
def status(*, seconds: float | None, as_json: bool) -> None:
    """Show queues, dead letters, clients, messages, missing ranges and resyncs.

    At most 10,000 dead letters are read; they all stay in their queue. When the broker or the
    database is away, the other half is shown, and the command exits with 3 or 4.

    With --watch, a terminal shows the newest status only; a pipe or file gets one after the other.
    Ctrl-C ends it with exit code 0.

    \b
    Example:
      statesys status
      statesys status --watch 5
      statesys status --json | jq .database.totals.clients
    """
    settings = settings_without_logs()
    if seconds is not None:
        _watch(settings, seconds, as_json=as_json)
        return
    found = gather(settings)
    if as_json:
        print_json(with_findings(found))
    else:
        show(found, stdout())
    sys.exit(found.exit_code)


def _watch(settings: Settings, seconds: float, *, as_json: bool) -> None:
    """Show the status until Ctrl-C ends it; servers that are away are shown as such.

    On a terminal each status takes the place of the one before. Elsewhere it follows it, under a
    line with its time; JSON documents follow each other without one.

    Args:
        seconds: pause between two looks.
    """
    try:
        while True:
            found = gather(settings)
            if as_json:
                print_json(with_findings(found))
            else:
                _redraw(found)
            sys.stdout.flush()
            time.sleep(seconds)
    except KeyboardInterrupt:
        # The usual way to end it.
        return


def _redraw(found: Status) -> None:
    console = stdout()
    if sys.stdout.isatty():
        console.clear()
    console.print(f"--- {moment(found.at)} UTC ---")
    show(found, console)
