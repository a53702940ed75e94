"""`statesys verify`."""

import sys
from pathlib import Path

import click

from runtime.logs import settings_and_logs
from runtime.options import json_option
from schemas.errors import ExitCode


class DurationType(click.ParamType[float]):
    """A duration as people write them, in seconds."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read `60s` or `5m`."""
        from datetime import timedelta  # noqa: PLC0415

        from runtime.durations import parse_duration  # noqa: PLC0415

        if isinstance(value, float):
            return value
        try:
            parsed = parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        assert isinstance(parsed, timedelta)
        return parsed.total_seconds()


@click.command()
@click.option(
    "--fleet",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=".statesys/fleet",
    show_default=True,
    help="Directory of the fleet's store.",
)
@click.option(
    "--timeout",
    type=DurationType(),
    default="60s",
    show_default=True,
    help="How long to wait for the work queues to become empty.",
)
@json_option
def verify(*, directory: Path, timeout: float, as_json: bool) -> None:
    """Prove that what a fleet's clients sent is what the server has.

    Waits until nothing is on its way, then looks for every message and every state of every
    client of the store. Takes no message out of a work queue; the fleet may go on running.
    Exits with 1 when one message is unaccounted for or altered, or one state differs.

    \b
    Example:
      statesys verify --fleet .statesys/demo/fleet
      statesys verify --timeout 5m --json
    """
    from console.output import print_json, stdout  # noqa: PLC0415
    from console.servers import Servers  # noqa: PLC0415
    from console.verify.verifying import verify as look  # noqa: PLC0415
    from console.verify.view import show, waiting  # noqa: PLC0415

    settings = settings_and_logs()
    outcome = look(directory, Servers.of(settings), timeout=timeout)
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
