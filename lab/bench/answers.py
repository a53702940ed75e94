"""`statesys bench answers`: how long an operator waits for each answer on a large site."""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from statistics import median
from typing import NamedTuple
from uuid import UUID

import click

from console.output import print_json, stdout, table
from lab.bench.job import Existing
from lab.bench.result import machine
from lab.bench.tables import fill
from lab.bench.testbed import Testbed, steps, testbed
from runtime.command import settings_and_logs
from runtime.database import own_session
from runtime.options import json_option
from runtime.settings import environment
from runtime.workers.signals import interrupt_on_signals
from schemas.errors import StatesysError

#: What operators ask. {name} and {id} are a client of the site, {tail} is the end of its name. Of
#: topic type 500, no client has state 1, all have 2, and one in 50,000 has 3.
QUESTIONS = (
    "topics 301 6",
    "status",
    "clients",
    "clients --condition gaps",
    "clients --condition quiet --sort seen",
    "clients --condition complete",
    "clients --name {name}*",
    "clients --name *{tail}",
    "states {name}",
    "trace {id}",
    "trace {id} 1",
    "why {id}",
    "why {name} 500",
    "compliance 500",
    "compliance 500 --clients 1",
    "compliance 500 --clients 2",
    "compliance 500 --clients 3",
    "collections list",
    "settings --site",
    "gaps --limit 50",
    "top clients",
    "top clients --by day",
    "top topics",
    "resync check --dry-run",
    "audit",
)
#: State messages in a report of the site before.
_SIZE = 4
_NAME = "statesys bench"


class Answer(NamedTuple):
    """A question, and the seconds from the start of its command to its end."""

    question: str
    median: float
    longest: float


@click.command()
@click.option("--existing-clients", "clients", type=click.IntRange(1), default=1_000_000)
@click.option("--existing-messages", "messages", type=click.IntRange(_SIZE), default=20_000_000)
@click.option("--existing-days", "days", type=click.IntRange(1), default=8, show_default=True)
@click.option("--runs", type=click.IntRange(1), default=5, show_default=True, help="Of each.")
@click.option("--keep", is_flag=True, help="Leave the servers running, with the data.")
@json_option
def answers(
    *, clients: int, messages: int, days: int, runs: int, keep: bool, as_json: bool
) -> None:
    """Ask a large site what operators ask: the seconds from the start of a command to its end.

    \b
    Example:
      statesys bench answers
      statesys bench answers --existing-clients 10000 --existing-messages 200000
    """
    settings = settings_and_logs(log_level="error")
    if messages < clients * _SIZE:
        raise click.UsageError(f"--existing-messages must be {_SIZE} for each client at least")
    interrupt_on_signals()
    with steps() as show, testbed(settings.home / "bench", show, keep=keep, nodes=1) as found:
        found.clear()
        fill(found.servers.database_url, Existing(clients, messages // _SIZE, _SIZE, days), show)
        asked = list(_ask(found, runs))
    if as_json:
        print_json({"machine": machine(), "answers": asked})
    else:
        rows = ((a.question, f"{a.median:.2f}", f"{a.longest:.2f}") for a in asked)
        columns = ("command", "s", "longest")
        stdout().print(table(columns, rows, right=columns[1:]))


def _ask(found: Testbed, runs: int) -> Iterator[Answer]:
    servers = found.servers
    variables = environment(
        amqp_url=servers.amqp_url,
        database_url=servers.database_url,
        management_url=servers.management_url,
    )
    name, client_id = somebody(servers.database_url)
    for question in QUESTIONS:
        words = question.format(name=name, id=client_id, tail=name[-3:]).split()
        found.show(f"asking: {' '.join(words)}")
        seconds = [_seconds(words, variables) for _ in range(runs)]
        yield Answer(question, median(seconds), max(seconds))


def _seconds(words: list[str], variables: Mapping[str, str]) -> float:
    """Run one command and return its seconds.

    Raises:
        StatesysError: it failed.
    """
    started = time.monotonic()
    command = [sys.executable, "-m", "statesys", *words]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - started
    if done.returncode:
        raise StatesysError(f"statesys {' '.join(words)}: {done.stderr.strip()}")
    return seconds


def somebody(url: str) -> tuple[str, UUID]:
    """A client that has a gap."""
    with own_session(url, _NAME) as session, session.transaction() as connection:
        row = connection.execute(
            "SELECT name, client_id FROM client JOIN missing_message_range USING (client_id) "
            "ORDER BY client_id LIMIT 1"
        ).fetchone()
    if row is None:
        raise StatesysError("no client of the site has a gap: fill it with more messages")
    return row[0], row[1]
