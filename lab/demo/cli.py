"""`statesys demo`."""

import sys
from collections.abc import Callable
from pathlib import Path

import click

from producers.options import CLIENTS, MESSAGES, SEED, SHARE
from runtime.logs import settings_and_logs
from runtime.options import DIRECTORY, Decorator, json_option
from runtime.settings import Settings
from schemas.errors import ExitCode


def _share(flag: str, default: float, text: str) -> Decorator:
    return click.option(flag, type=SHARE, default=default, show_default=True, help=text)


@click.command()
@click.option("--clients", type=CLIENTS, default=1000, show_default=True)
@click.option(
    "--cycles",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    help="Forward cycles that every client lives.",
)
@click.option(
    "--messages",
    type=MESSAGES,
    default=4,
    show_default=True,
    help="State messages that a client records in a cycle, on average.",
)
@_share("--loss", 0.02, "Share of the reports that never arrive.")
@_share("--duplicate", 0.02, "Share that arrives twice.")
@_share("--reorder", 0.02, "Share that newer reports overtake.")
@_share("--corrupt", 0.005, "Share that arrives damaged and is refused.")
@click.option(
    "--seed",
    type=SEED,
    default=1,
    show_default=True,
    help="Everything synthetic follows from it.",
)
@click.option(
    "--directory",
    type=DIRECTORY,
    help="Takes the fleet's store and the workers' logs; an earlier demo's is emptied first "
    "[default: demo/ beside the private servers, .statesys/demo].",
)
@click.option(
    "--reset",
    is_flag=True,
    help="Empty the database and the queues first, whoever's data is in them.",
)
@json_option
def demo(*, directory: Path | None, reset: bool, as_json: bool, **size: float) -> None:
    """Run the whole job once: faulty reports in, everything accounted for in the end.

    Starts private servers when no URL is given, a relay and a loader with quick resync settings,
    and a synthetic fleet whose reports get lost, doubled, overtaken and damaged on purpose.
    Answers resyncs until nothing is missing, and then holds every message and every state of the
    fleet against the database.

    It works in the database and the virtual host that all other commands use, so look around
    afterwards: status, dead list, trace, gaps --all. What an earlier demo left there is removed;
    where there is data of anybody else's, the demo refuses (see --reset).

    \b
    Example:
      statesys demo
      statesys demo --clients 5000 --loss 0.1 --seed 7
    """
    from console.output import facts, print_json, stdout  # noqa: PLC0415
    from console.servers import Servers  # noqa: PLC0415
    from lab.demo.plan import DemoPlan  # noqa: PLC0415
    from lab.demo.progress import Display  # noqa: PLC0415
    from lab.demo.run import Demo  # noqa: PLC0415
    from runtime.workers.signals import Stop  # noqa: PLC0415

    # A demo shows its progress; the fleet's own lines would only run through it.
    settings = settings_and_logs(usual_level="warning")
    plan = DemoPlan(
        clients=int(size.pop("clients")),
        cycles=int(size.pop("cycles")),
        messages=size.pop("messages"),
        seed=int(size.pop("seed")),
        faults=size,
        directory=directory or settings.home / "demo",
        reset=reset,
    )
    stop = Stop().install()
    with Display() as display:
        _start_servers(settings, display.step)
        summary = Demo(plan, Servers.of(settings), display, stop).run()
    if as_json:
        print_json(summary.as_data())
    else:
        stdout().print(facts(summary.rows()))
        click.echo(summary.last_line())
        click.echo(f"fleet and logs: {plan.directory}", err=True)
    if not summary.verified:
        sys.exit(ExitCode.FAILED)


def _start_servers(settings: Settings, tell: Callable[[str, str], None]) -> None:
    """Private servers, unless the settings name others."""
    from runtime import devserver  # noqa: PLC0415

    if settings.amqp_url is None and settings.database_url is None:
        if devserver.running(settings.home) is None:
            tell("starting", "private RabbitMQ and PostgreSQL")
        devserver.up(settings.home)
