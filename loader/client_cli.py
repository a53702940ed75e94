"""Commands about clients in the database: `client`."""

import json
from contextlib import AbstractContextManager

import click

from loader.quarantine_cli import quarantine, quarantined, release
from loader.store.clients import ClientStore, Removed
from loader.store.shared import checked
from runtime.command import settings_and_logs
from runtime.options import GivenClient, client_argument, json_option
from runtime.printable import printable
from schemas.errors import StatesysError


@click.group("client")
def client_group() -> None:
    """Manage the clients in the database."""


for command in (quarantine, release, quarantined):
    client_group.add_command(command)


@client_group.command()
@client_argument
@click.confirmation_option(prompt="Forget this client's states, ranges and requests?")
def forget(client: GivenClient) -> None:
    """Remove a client; its history stays until its partitions are dropped.

    A client that sends again comes back as a new one.

    \b
    Example:
      statesys client forget f1b03089-9ea1-4a64-83dc-5f8e77bddeb4 --yes
    """
    with _clients() as store:
        client_id = store.client_id_of(client)
        removed = store.forget(client_id)
    if not removed.clients:
        raise StatesysError(f"client {client_id} is not known")
    click.echo(f"forgot {client_id}: {_counts(removed)}", err=True)
    click.echo(
        "left: its history, until its partitions are dropped (`statesys client erase` deletes it); "
        + _LEFT,
        err=True,
    )


@client_group.command()
@client_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def erase(*, client: GivenClient, yes: bool, as_json: bool) -> None:
    """Delete a client and its history for good, because its person asks for it.

    Also deletes the history of a client that was forgotten before. Needs the right to delete from
    the history, which the role of the loaders has and that of operators has not. While it works,
    the chunks with messages of this client wait.

    \b
    Example:
      statesys client erase GUID:AA9C5F9F-24C2-4B2A-8C4E-0A1B2C3D4E5F
    """
    with _clients() as store:
        client_id = store.client_id_of(client)
        held = store.held(client_id)
        if not any(held):
            raise StatesysError(f"client {client_id} is not known, and the history has none of it")
        if not yes:
            who = printable(f"{store.name(client_id)} {client_id}".strip())
            click.confirm(
                f"Delete {who} for good: {_counts(held, history=True)}?", abort=True, err=True
            )
        removed = store.erase(client_id)
    if as_json:
        click.echo(json.dumps({"client_id": str(client_id), **removed._asdict()}))
    else:
        click.echo(f"erased {client_id}: {_counts(removed, history=True)}", err=True)
    click.echo(f"left: {_LEFT}", err=True)


#: What neither command deletes.
_LEFT = (
    "its messages in queues and dead letters, its place in quarantine, backups, and the client's "
    "own store. A client that sends again comes back as a new one."
)


def _counts(removed: Removed, *, history: bool = False) -> str:
    counts = [
        (removed.states, "current state"),
        (removed.ranges, "missing range"),
        (removed.requests, "resync request"),
        *([(removed.messages, "message")] if history else []),
    ]
    return ", ".join(f"{count:,} {noun}" + ("" if count == 1 else "s") for count, noun in counts)


def _clients() -> AbstractContextManager[ClientStore]:
    """The client store of the configured database."""
    return checked(ClientStore(settings_and_logs().required_database_url()))
