"""`statesys bench answers`: how long an operator waits for each answer on a large site."""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from statistics import median
from typing import NamedTuple

import click

from console.output import print_json, stdout, table
from lab.bench.large_site import existing_options, large_site, somebody
from lab.bench.result import machine
from lab.bench.testbed import Testbed
from runtime.options import json_option
from runtime.settings import environment
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


class Answer(NamedTuple):
    """A question, and the seconds from the start of its command to its end."""

    question: str
    median: float
    longest: float


@click.command()
@existing_options
@click.option("--runs", type=click.IntRange(1), default=5, show_default=True, help="Of each.")
@click.option("--keep", is_flag=True, help="Leave the servers running, with the data.")
@json_option
def answers(*, runs: int, keep: bool, as_json: bool, **existing: int) -> None:
    """Ask a large site what operators ask: the seconds from the start of a command to its end.

    \b
    Example:
      statesys bench answers
      statesys bench answers --existing-clients 10000 --existing-messages 200000
    """
    with large_site(**existing, keep=keep) as found:
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
