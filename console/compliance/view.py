"""How `statesys compliance` shows its answers: tables, JSON and CSV."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from console.completeness import CONDITIONS, sentence
from console.compliance.gather import Counted, Found, Question
from console.compliance.state import NEVER
from console.csv_output import print_csv
from console.listing import going_on
from console.names import state_name, topic_name, topic_sentence
from console.output import counted, moment, print_json, stdout, table
from console.queries.clients import Completeness
from console.queries.compliance import ClientInState, StateTotals
from runtime.printable import printable

TOTALS_COLUMNS = ("topic_type", "topic_id", "state_id", "state", "clients", *CONDITIONS, "as_of")
#: Clients of one row, by condition.
Clients = Mapping[str, int]


def show_totals(question: Question, found: Counted, *, as_json: bool, as_csv: bool) -> None:
    """Print how many clients are in which state."""
    totals = found.totals
    if as_json:
        print_json(totals_as_data(question, found))
    elif as_csv:
        print_csv(TOTALS_COLUMNS, totals_cells(question, totals))
    else:
        _print_totals(question, found)
    if totals.overlap:
        click.echo(
            "a client counts once in each state that its topics or users have, so the states add "
            "up to more than the clients that told",
            err=True,
        )


def show_clients(question: Question, found: Found, *, as_json: bool, as_csv: bool) -> None:
    """Print a page of clients."""
    last = found.clients[-1].client_id if found.more else None
    if as_json:
        print_json(
            {
                "as_of": found.now,
                **question._asdict(),
                "state_ids": found.state_ids,
                "clients": found.clients,
                "next_after": last,
            }
        )
    elif as_csv:
        print_csv(ClientInState._fields, found.clients)
    else:
        rows = (
            (row.name, row.client_id, moment(row.since), moment(row.last_seen), row.condition)
            for row in found.clients
        )
        stdout().print(table(["client", "id", "since", "last seen", "condition"], rows))
    told = f"{counted(len(found.clients), 'client')} as of {moment(found.now)}"
    click.echo(told + going_on(last), err=True)


def _print_totals(question: Question, found: Counted) -> None:
    topic_type, topic_id = question
    totals = found.totals
    topic = "all topics" if topic_id is None else f"topic {printable(topic_id)!r}"
    rows = [
        (name if number is None else f"{number} {name}", *numbers_of(clients))
        for number, name, clients in rows_of(question, totals)
    ]
    numbers = ["clients", *CONDITIONS]
    out = stdout()
    out.print(
        table(
            ["state", *numbers],
            rows,
            title=f"{topic_type} {topic_name(topic_type)}, {topic}",
            right=numbers,
        )
    )
    click.echo(sentence(Completeness(totals.as_of, totals.clients), found.now))
    if (meaning := topic_sentence(topic_type)) is not None:
        click.echo(f"{topic_type}: {meaning}")


def rows_of(question: Question, totals: StateTotals) -> Iterator[tuple[int | None, str, Clients]]:
    """State id, name and clients of each row; no id for those that are not a state's."""
    for number, clients in sorted(totals.states.items()):
        yield number, state_name(question.topic_type, number), clients
    yield None, "told", totals.told
    yield None, f"{NEVER} told", totals.never
    yield None, "all clients", totals.clients


def totals_cells(question: Question, totals: StateTotals) -> list[Sequence[object]]:
    """The values of each row, as many as `TOTALS_COLUMNS`."""
    return [
        (*question, number, name, *numbers_of(clients), totals.as_of)
        for number, name, clients in rows_of(question, totals)
    ]


def numbers_of(clients: Clients) -> list[int]:
    """The number of clients, and that of each condition, in the order of `CONDITIONS`."""
    return [_sum(clients), *(clients.get(name, 0) for name in CONDITIONS)]


def _sum(clients: Clients) -> int:
    return sum(clients.values())


def totals_as_data(question: Question, found: Counted) -> dict[str, Any]:
    """How many clients are in which state, for `--json`."""
    totals = found.totals
    return {
        "now": found.now,
        "as_of": totals.as_of,
        "counted_now": totals.counted_now,
        "topic_type": question.topic_type,
        "topic_name": topic_name(question.topic_type),
        "meaning": topic_sentence(question.topic_type),
        "topic_id": question.topic_id,
        "states": [
            {
                "state_id": number,
                "state_name": state_name(question.topic_type, number),
                **_counts(clients),
            }
            for number, clients in sorted(totals.states.items())
        ],
        "told": _counts(totals.told),
        "never": _counts(totals.never),
        "all": _counts(totals.clients),
    }


def _counts(clients: Clients) -> dict[str, Any]:
    return {
        "clients": _sum(clients),
        "conditions": {name: clients.get(name, 0) for name in CONDITIONS},
    }
