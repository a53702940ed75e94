"""`statesys demo`."""

import shlex
import sys
from pathlib import Path

import click

from console.output import facts, print_json, stdout
from lab.demo.progress import Display
from lab.demo.run import Demo
from lab.demo.site import prepare
from producers.options import CLIENTS, MESSAGES, SEED, SHARE
from producers.plan import Plan
from runtime.command import settings_and_logs
from runtime.options import DIRECTORY, Decorator, json_option, option_with_default
from runtime.workers.signals import Stop
from schemas.errors import ExitCode


def _share(flag: str, default: float, text: str) -> Decorator:
    return option_with_default(flag, type=SHARE, default=default, help=text)


@click.command()
@option_with_default("--clients", type=CLIENTS, default=1000)
@option_with_default(
    "--cycles",
    type=click.IntRange(1),
    default=5,
    help="Forward cycles that every client lives.",
)
@option_with_default(
    "--messages",
    type=MESSAGES,
    default=4,
    help="State messages that a client records in a cycle, on average.",
)
@_share("--loss", 0.02, "Share of the reports that never arrive.")
@_share("--duplicate", 0.02, "Share that arrives twice.")
@_share("--reorder", 0.02, "Share that newer reports overtake.")
@_share("--corrupt", 0.005, "Share that arrives damaged and is refused.")
@option_with_default(
    "--seed",
    type=SEED,
    default=1,
    help="Everything synthetic follows from it.",
)
@click.option(
    "--directory",
    type=DIRECTORY,
    help="Takes the demo's servers, the fleet's store and the workers' logs; an earlier demo's are "
    "emptied first [default: demo/ in STATESYS_HOME, .statesys/demo].",
)
@click.option("--reset", is_flag=True, hidden=True)
@json_option
def demo(
    *,
    clients: int,
    cycles: int,
    messages: float,
    seed: int,
    directory: Path | None,
    reset: bool,
    as_json: bool,
    **faults: float,
) -> None:
    """Run the whole job once: faulty reports in, everything accounted for in the end.

    Starts a RabbitMQ and a PostgreSQL of its own, a relay and a loader with quick resync settings,
    and a synthetic fleet whose reports get lost, doubled, overtaken and damaged on purpose.
    Answers resyncs until nothing is missing, and then holds every message and every state of the
    fleet against the database.

    The servers stay until `statesys down --home .statesys/demo`, so that you can look at what the
    demo did: status, dead list, trace, gaps --all. The next demo empties them.

    \b
    Example:
      statesys demo
      STATESYS_HOME=.statesys/demo statesys status
      statesys demo --clients 5000 --loss 0.1 --seed 7
    """
    # A demo shows its progress; log lines of the fleet would interrupt it.
    settings = settings_and_logs(usual_level="warning")
    if reset:
        click.echo("--reset does nothing any more: the demo has servers of its own", err=True)
    if settings.amqp_url is not None or settings.database_url is not None:
        click.echo(
            "the demo has servers of its own: STATESYS_AMQP_URL and STATESYS_DATABASE_URL are not "
            "used",
            err=True,
        )
    plan = Plan(clients=clients, messages=messages, seed=seed, faults=faults)
    directory = directory or settings.home / "demo"
    stop = Stop().install()
    with Display() as display:
        display.step("preparing", "RabbitMQ and PostgreSQL")
        summary = Demo(
            plan=plan,
            cycles=cycles,
            directory=directory,
            servers=prepare(directory),
            display=display,
            stop=stop,
        ).run()
    if as_json:
        print_json(summary.as_data())
    else:
        stdout().print(facts(summary.rows()))
        click.echo(summary.last_line())
    place = shlex.quote(str(directory))
    click.echo(
        f"look around: STATESYS_HOME={place} statesys status (or trace, gaps --all, dead list)\n"
        f"stop its servers: statesys down --home {place}\n"
        f"see it in a browser: STATESYS_HOME={place} statesys web",
        err=True,
    )
    if not summary.verified:
        sys.exit(ExitCode.FAILED)
