"""`statesys bench`."""

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import click

from console.output import print_json, stdout
from lab.bench.answers import answers
from lab.bench.job import NOTHING, Existing, Job, Shape, WorkerSettings, combinations
from lab.bench.result import Result, last_line, machine, results_table
from lab.bench.runs import run_drain, run_loader, run_publish, run_relay, run_steady
from lab.bench.testbed import Testbed, testbed
from lab.bench.viewer import viewer
from producers.options import CLIENTS
from runtime.command import settings_and_logs
from runtime.options import Decorator, json_option, option_with_default, together
from runtime.setting_options import setting
from runtime.settings import Settings
from runtime.workers.signals import interrupt_on_signals


@click.group()
def bench() -> None:
    """Measure how much the pipeline carries on this machine.

    Every run starts private servers of its own beside the usual ones and removes them at the end,
    so nobody's data is touched. The standard job, which is the default: 20,000 reports of 4 state
    messages each, of 5,000 clients.

    \b
    Example:
      statesys bench drain
      statesys bench loader --sweep threads=1,2,4 --sweep chunk=64,256,1024
    """


bench.add_command(answers)
bench.add_command(viewer)


def cores_option(default: int | None) -> Decorator:
    """The option `--cores`; it applies at once to this process and all that it starts."""

    def pin(_context: click.Context, _option: click.Parameter, cores: int | None) -> None:
        usable = sorted(os.sched_getaffinity(0))
        if cores is not None and cores > len(usable):
            raise click.BadParameter(f"this process may use {len(usable)} processors")
        os.sched_setaffinity(0, usable[:cores])

    return click.option(
        "--cores",
        type=click.IntRange(1),
        default=default,
        show_default=True if default else "all",
        callback=pin,
        expose_value=False,
        help="Processors for the whole run, servers included.",
    )


_clients = option_with_default(
    "--clients",
    type=CLIENTS,
    default=5_000,
    help="Clients that the reports are of, in turn.",
)
_messages = option_with_default(
    "--messages",
    type=click.IntRange(1, 1_000),
    default=4,
    help="State messages in a report.",
)
_reports = option_with_default(
    "--reports",
    type=click.IntRange(1, 10_000_000),
    default=20_000,
    help="Reports in all.",
)
_keep = click.option(
    "--keep",
    is_flag=True,
    help="Leave the servers running, with the data of the last run; "
    "`statesys down --home .statesys/bench` stops them.",
)
_shape = option_with_default(
    "--shape",
    type=click.Choice(["canonical", "other", "foreign", "all"]),
    default="all",
    help="How the reports are written: as ConfigMgr's clients and ours do it, as other programs "
    "do, or with elements that nobody knows, which take longest to read; all are three runs.",
)
_sweep = click.option(
    "--sweep",
    "sweeps",
    multiple=True,
    metavar="NAME=N,N",
    help="One run for each value of reports, threads or chunk (KiB), or each combination.",
)
_existing = together(
    option_with_default(
        "--existing-clients",
        type=click.IntRange(0, 100_000_000),
        default=0,
        help="Clients that are in the tables before; those of the run are among them.",
    ),
    option_with_default(
        "--existing-messages",
        type=click.IntRange(0, 10_000_000_000),
        default=0,
        help="State messages of theirs that are in the history, in whole reports.",
    ),
    option_with_default(
        "--existing-days",
        type=click.IntRange(1, 3650),
        default=7,
        help="Days that these are spread over, today included: one partition each.",
    ),
)
_PROCESSES = click.IntRange(1, 64)
_relays = option_with_default("--relays", type=_PROCESSES, default=1, help="Relay processes.")
_loaders = option_with_default("--loaders", type=_PROCESSES, default=1, help="Loader processes.")
_threads = setting("loader_threads", "--threads")
_chunk = setting("loader_chunk_size", "--chunk-size")
_size = together(_reports, _messages, _clients)
_loading = together(_loaders, _threads, _chunk, _existing)
_nodes = option_with_default(
    "--nodes",
    type=click.Choice(["1", "3"]),
    default="1",
    help="Brokers, which form a cluster if there are several.",
)
_output = together(cores_option(None), _nodes, _keep, json_option)


@bench.command()
@_size
@_output
def publish(*, nodes: str, keep: bool, as_json: bool, **size: Any) -> None:
    """The producers: state recorded, numbered, rendered into the outbox, published, confirmed.

    \b
    Example:
      statesys bench publish --clients 1000 --reports 5000
    """
    settings, job, _ = _chosen(**size)
    runs = [partial(run_publish, job=job)]
    _measure(settings, runs, nodes=nodes, keep=keep, as_json=as_json)


@bench.command()
@_size
@_shape
@_relays
@_output
def relay(**flags: Any) -> None:
    """The relay alone, on a queue that is full of reports.

    \b
    Example:
      statesys bench relay --relays 2
    """
    _drain(run_relay, **flags)


@bench.command()
@_size
@_shape
@_loading
@_sweep
@_output
def loader(**flags: Any) -> None:
    """The loader alone, on queues that are full of batches.

    \b
    Example:
      statesys bench loader --sweep threads=1,2,4 --sweep chunk=64,256,1024
    """
    _drain(run_loader, **flags)


@bench.command()
@_size
@_shape
@_relays
@_loading
@_sweep
@_output
def drain(**flags: Any) -> None:
    """Relay and loader together, from a queue that is full of reports into the database.

    \b
    Example:
      statesys bench drain --cores 2
      statesys bench drain --relays 2 --loaders 2 --threads 2
      statesys bench drain --nodes 3
      statesys bench drain --sweep reports=20000,40000 --shape canonical
      statesys bench drain --existing-clients 1000000 --existing-messages 20000000
    """
    _drain(run_drain, **flags)


@bench.command()
@option_with_default(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    default=2_000,
    help="State messages a second.",
)
@option_with_default(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    default=20,
    help="How long.",
)
@_messages
@_clients
@_relays
@_loading
@click.option(
    "--drop-partition",
    is_flag=True,
    help="In the middle, drop the oldest of the existing days behind a session that still reads.",
)
@_output
def steady(
    *,
    rate: float,
    seconds: float,
    messages: int,
    clients: int,
    drop_partition: bool,
    nodes: str,
    keep: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """A constant rate through relay and loader: how long a message takes.

    The queue time is from received to loaded; the total from the moment a report was due.
    With --drop-partition the result tells how long loading stood still meanwhile.

    \b
    Example:
      statesys bench steady --rate 2000 --seconds 30
      statesys bench steady --drop-partition --existing-clients 10000 --existing-messages 500000
    """
    reports = max(1, round(rate * seconds / messages))
    settings, job, worker_settings = _chosen(
        reports=reports, messages=messages, clients=min(clients, reports), **flags
    )
    if drop_partition and (not job.existing.messages or job.existing.days < 2):
        raise click.UsageError(
            "--drop-partition needs --existing-clients and --existing-messages, "
            "over at least 2 --existing-days"
        )
    run = partial(run_steady, job=job, worker_settings=worker_settings, rate=rate / messages)
    runs = [partial(run, drop_partition=drop_partition)]
    _measure(settings, runs, nodes=nodes, keep=keep, as_json=as_json)


def _drain(
    run: Callable[..., Result],
    *,
    shape: str,
    nodes: str,
    keep: bool,
    as_json: bool,
    sweeps: tuple[str, ...] = (),
    **flags: Any,
) -> None:
    """Make the runs of a command line, one for each combination, and measure them."""
    settings, job, worker_settings = _chosen(**flags)
    shapes = list(Shape) if shape == "all" else [Shape(shape)]
    runs = [
        partial(run, job=job, worker_settings=worker_settings)
        for job, worker_settings in combinations(job, worker_settings, sweeps, shapes)
    ]
    _measure(settings, runs, nodes=nodes, keep=keep, as_json=as_json)


def _chosen(
    *,
    reports: int,
    messages: int,
    clients: int,
    relays: int = 1,
    loaders: int = 1,
    existing_clients: int = 0,
    existing_messages: int = 0,
    existing_days: int = 1,
    **flags: Any,
) -> tuple[Settings, Job, WorkerSettings]:
    """Turn options into settings, a job and workers; the rest is as in the standard job."""
    # The log lines of the loader's periodic tasks are noise here; errors still matter.
    settings = settings_and_logs(log_level="error", **flags)
    existing = _site(settings, existing_clients, existing_messages, existing_days, messages)
    job = Job(reports=reports, messages=messages, clients=clients, existing=existing)
    worker_settings = WorkerSettings(settings.threads, settings.loader_chunk_size, relays, loaders)
    return settings, job, worker_settings


def _site(settings: Settings, clients: int, messages: int, days: int, size: int) -> Existing:
    """Check how much is to be in the tables before the run."""
    if not clients and not messages:
        return NOTHING
    reports = messages // size
    if not 0 < clients <= reports:
        raise click.UsageError(
            f"--existing-messages must be a report of {size} state messages (--messages) "
            "at least for each of --existing-clients"
        )
    if days > settings.retention.days:
        raise click.UsageError(
            f"--existing-days {days} is longer than the retention of "
            f"{settings.retention.days} days (STATESYS_RETENTION)"
        )
    return Existing(clients, reports, size, days)


def _measure(
    settings: Settings,
    runs: Sequence[Callable[[Testbed], Result]],
    *,
    nodes: str,
    keep: bool,
    as_json: bool,
) -> None:
    interrupt_on_signals()
    with testbed(settings.home / "bench", keep=keep, nodes=int(nodes)) as found:
        results = [run(found) for run in runs]
    if as_json:
        print_json({"machine": machine(), "runs": [result.as_data() for result in results]})
    else:
        stdout().print(results_table(results))
        click.echo(last_line(results))
