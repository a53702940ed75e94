"""`statesys client quarantine`, `release` and `quarantined`."""

import json
from contextlib import AbstractContextManager

import click

from loader.quarantining import operator, put_in, take_out
from loader.store.quarantine import QuarantineStore
from loader.store.shared import checked
from runtime.command import settings_and_logs
from runtime.options import GivenClient, client_argument, json_option
from runtime.printable import printable


@click.command()
@client_argument
@click.option("--why", default="", metavar="TEXT", help="The reason, for others to read.")
def quarantine(*, client: GivenClient, why: str) -> None:
    """Set a client's reports aside as dead letters, until it is released.

    For a client that sends so much that others wait. Its reports become dead letters with the
    reason quarantined, and can be replayed after the release. A client that is given by its id
    need not be known.

    \b
    Example:
      statesys client quarantine f1b03089-9ea1-4a64-83dc-5f8e77bddeb4 --why 'sends in a loop'
    """
    with _quarantine() as store:
        done = put_in(store, client, by=operator(), why=why)
    click.echo(done, err=True)


@click.command()
@client_argument
def release(*, client: GivenClient) -> None:
    """Take a client out of quarantine; its dead letters stay until they are replayed.

    \b
    Example:
      statesys client release f1b03089-9ea1-4a64-83dc-5f8e77bddeb4
      statesys dead replay --reason quarantined
    """
    with _quarantine() as store:
        done = take_out(store, client)
    click.echo(done, err=True)


@click.command()
@json_option
def quarantined(*, as_json: bool) -> None:
    """List the clients in quarantine, oldest first.

    \b
    Example:
      statesys client quarantined
    """
    with _quarantine() as store:
        now, clients = store.all()
    if as_json:
        rows = [
            {**one._asdict(), "client_id": str(one.client_id), "since": one.since.isoformat()}
            for one in clients
        ]
        click.echo(json.dumps({"as_of": now.isoformat(), "clients": rows}))
        return
    for one in clients:
        since = one.since.strftime("%Y-%m-%d %H:%M:%S")
        click.echo(f"{one.client_id}  since {since}  by {printable(one.by)}  {printable(one.why)}")
    moment = now.strftime("%Y-%m-%d %H:%M:%S")
    click.echo(f"{len(clients)} clients are in quarantine, as of {moment} UTC", err=True)


def _quarantine() -> AbstractContextManager[QuarantineStore]:
    url = settings_and_logs().required_database_url()
    return checked(QuarantineStore(url, name="statesys client"))
