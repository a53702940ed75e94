"""Shows the status again and again, until Ctrl-C."""

import sys
import time

from console.output import moment, print_json, stdout
from console.status.findings import with_findings
from console.status.gather import Status, gather
from console.status.view import show
from runtime.settings import Settings


def watch(settings: Settings, seconds: float, *, as_json: bool) -> None:
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
