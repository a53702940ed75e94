"""`statesys producers`: publish the reports of synthetic clients, once or until stopped."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from producers.faults import FAULTS
from producers.fleet import Fleet, utc_now
from producers.fleet import Progress as Step
from producers.hostile import HOSTILE, meaning
from producers.options import CLIENTS, FLEET, MESSAGES, SEED, SHARE, fleet_option
from producers.plan import Plan
from producers.store import Store
from producers.summary import FleetSummary
from runtime.command import settings_and_logs
from runtime.durations import render_duration
from runtime.options import json_option, option_with_default, together
from runtime.setting_options import log_options, setting, take_log_flags
from runtime.workers.signals import Stop
from schemas import topology
from schemas.errors import StatesysError

_log = structlog.get_logger()


def _lower(text: str | None) -> str:
    return text[0].lower() + text[1:] if text else ""


def _rates(
    _context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]
) -> dict[str, float]:
    """Parse the values of a repeatable `KIND=RATE` option."""
    rates: dict[str, float] = {}
    for text in given:
        kind, _, rate = text.partition("=")
        if kind not in HOSTILE:
            raise click.BadParameter(f"{kind!r} is none of {', '.join(HOSTILE)}")
        try:
            rates[kind] = float(rate)
        except ValueError:
            raise click.BadParameter(f"{text!r} has no rate; write {kind}=0.1") from None
    return rates


#: Which store to use, and the contents of a new one.
_store_options = together(
    fleet_option(
        "Directory of the fleet's store; made when it is missing.",
        default=FLEET,
        show_default=True,
    ),
    click.option(
        "--clients",
        type=CLIENTS,
        help="How many clients take part [default: all of the store, 100 in a new one].",
    ),
    click.option(
        "--seed",
        type=SEED,
        help="Everything synthetic follows from it [default: the store's, 1 in a new one].",
    ),
)
#: The options of both publishing commands.
_fleet_options = together(
    _store_options,
    option_with_default(
        "--messages",
        type=MESSAGES,
        default=4,
        help="State messages that a client records in a forward cycle, on average.",
    ),
    *(
        option_with_default(
            f"--{name}",
            type=SHARE,
            default=0,
            help=f"Share of the reports that meet this fault: {_lower(fault.__doc__)}",
        )
        for name, fault in FAULTS.items()
    ),
    click.option(
        "--hostile",
        "hostile",
        multiple=True,
        metavar="KIND=RATE",
        callback=_rates,
        help="Share of the clients' forward cycles in which a client is hostile; may be "
        "repeated. Kinds: " + " ".join(f"{kind}: {_lower(meaning(kind))}" for kind in HOSTILE),
    ),
    log_options,
)


@click.group()
def producers() -> None:
    """Synthetic clients: publish a fleet's reports, or run a fleet until stopped."""


@producers.command()
@_fleet_options
@option_with_default(
    "--cycles",
    type=click.IntRange(min=0),
    default=5,
    help="Forward cycles that every client lives, as fast as possible.",
)
@option_with_default(
    "--heartbeat/--no-heartbeat",
    default=True,
    help="End with a faultless heartbeat of every client, which makes lost last reports visible.",
)
@json_option
def publish(
    *,
    directory: Path,
    clients: int | None,
    messages: float,
    seed: int | None,
    cycles: int,
    heartbeat: bool,
    as_json: bool,
    hostile: dict[str, float],
    **flags: Any,
) -> None:
    """Publish some forward cycles of a fleet as fast as the broker takes them.

    A second run continues from the store: reports that an interrupted run left unpublished go
    first, then the clients forward further cycles. Resync requests stay in the queue until `run`.

    \b
    Example:
      statesys producers publish --clients 1000 --cycles 5 --loss 0.02 --duplicate 0.05
    """
    settings = settings_and_logs(log="statemessage", **take_log_flags(flags))
    stop = Stop().install()
    with _store(directory, clients, seed) as store:
        # The flags that are left are the shares of the faults.
        plan = _plan(store, clients, messages, flags, hostile)
        before, started = store.totals(), time.monotonic()
        injected = store.injected_by_kind()
        with (
            _progress() as show,
            Fleet(store, settings.required_amqp_url(), plan, stop=stop, on_progress=show) as fleet,
        ):
            fleet.publish_cycles(cycles)
            if heartbeat:
                fleet.heartbeat_all()
            fleet.drain()
        summary = FleetSummary.between(
            before, injected, store, clients=plan.clients, seconds=time.monotonic() - started
        )
    click.echo(json.dumps(summary.as_dict())) if as_json else _show(summary)
    if stop.is_set():
        raise StatesysError(
            f"stopped before the end; {summary.outbox} reports wait in the outbox, "
            "the next run publishes them first"
        )


@producers.command()
@_fleet_options
@setting("forward_interval")
@setting("heartbeat_interval")
def run(
    *,
    directory: Path,
    clients: int | None,
    messages: float,
    seed: int | None,
    hostile: dict[str, float],
    forward_interval: str | None,
    heartbeat_interval: str | None,
    **flags: Any,
) -> None:
    """Run a fleet until stopped: timed forward cycles, heartbeats, answers to resync requests.

    Several fleets can run side by side, each with its own store and seed. If the broker is away at
    the start, the fleet waits for it. If it goes away later, reports collect in the outbox.

    \b
    Example:
      statesys producers run --fleet .statesys/north --clients 500 --seed 7 --forward-interval 1m
    """
    settings = settings_and_logs(
        log="statemessage",
        forward_interval=forward_interval,
        heartbeat_interval=heartbeat_interval,
        **take_log_flags(flags),
    )
    stop = Stop().install()
    with _store(directory, clients, seed) as store:
        # The flags that are left are the shares of the faults.
        plan = _plan(store, clients, messages, flags, hostile)
        _log.info(
            "producers.started",
            fleet=str(directory),
            clients=plan.clients,
            seed=plan.seed,
            forward_interval=render_duration(settings.forward_interval),
            reports_per_second=round(plan.clients / settings.forward_interval.total_seconds(), 2),
        )
        url = settings.required_amqp_url()
        with Fleet(store, url, plan, stop=stop, patient=True) as fleet:
            fleet.run(settings.forward_interval, settings.heartbeat_interval)
        _log.info("producers.stopped", **store.totals()._asdict())


@producers.command("reply-queue")
@_store_options
def reply_queue(*, directory: Path, clients: int | None, seed: int | None) -> None:
    """Print the name of a fleet's reply queue, for the permissions of the fleet's user.

    Needs no broker. Creates a missing store, with these clients and this seed.

    \b
    Example:
      statesys producers reply-queue --fleet .statesys/north --seed 7
    """
    with _store(directory, clients, seed) as store:
        click.echo(topology.reply_queue(store.store_id).name)


def _store(directory: Path, clients: int | None, seed: int | None) -> Store:
    return Store(directory, seed=seed, clients=clients, now=utc_now())


def _plan(
    store: Store,
    clients: int | None,
    messages: float,
    faults: dict[str, float],
    hostile: dict[str, float],
) -> Plan:
    return Plan(
        clients=clients or store.totals().clients,
        messages=messages,
        seed=store.seed,
        faults={name: rate for name, rate in faults.items() if rate},
        hostile=hostile,
    )


@contextmanager
def _progress() -> Iterator[Callable[[Step], None] | None]:
    """Show a progress bar if stderr is a terminal; otherwise yield None."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
        task = bar.add_task("connecting", total=None)
        yield lambda step: bar.update(
            task, description=step.step, completed=step.done, total=step.total
        )


def _show(summary: FleetSummary) -> None:
    table = Table("published", "", show_header=False)
    for name, value in summary.rows():
        table.add_row(name, value)
    Console().print(table)
