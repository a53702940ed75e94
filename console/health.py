"""`statesys health relay|loader`: for people, health checks and process supervisors."""

import json
import time

import click

from runtime.options import json_option
from runtime.settings import load_settings
from runtime.workers import Verdict, judge, read_heartbeats
from schemas.errors import StatesysError


@click.command()
@click.argument("role", type=click.Choice(["relay", "loader"]))
@click.option(
    "--interval",
    default=60.0,
    show_default=True,
    type=click.FloatRange(min=0, max=86400),
    help="Seconds that work may go without progress.",
)
@json_option
def health(*, role: str, interval: float, as_json: bool) -> None:
    """Exit 0 only if the workers on this machine made progress, or had nothing to do.

    Looks at workers that were started with the same STATESYS_HOME. The answer names the problem: a
    server that is away, a blocked connection, deliveries without progress or a process that hangs.

    \b
    Example:
      statesys health loader
    """
    # No log set-up: this command logs nothing, and supervisors call it often.
    home = load_settings().home
    verdicts = [
        judge(p, now=time.monotonic(), interval=interval) for p in read_heartbeats(home, role)
    ]
    try:
        _show(verdicts, role, as_json=as_json)
    except OSError as error:
        # The exit code is the answer: a full disk of the supervisor must not make a worker look
        # unhealthy, because the supervisor would end it.
        click.echo(f"the verdict cannot be written: {error.strerror}", err=True)
    if not verdicts:
        raise StatesysError(f"no {role} runs here; start one with `statesys {role} run`")
    if any(verdict.problem for verdict in verdicts):
        raise StatesysError(f"a {role} is not healthy")


def _show(verdicts: list[Verdict], role: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([v._asdict() for v in verdicts]))
        return
    for verdict in verdicts:
        words = [verdict.problem or "healthy", *filter(None, [verdict.note])]
        click.echo(f"{role} {verdict.pid}: {'; '.join(words)}")
