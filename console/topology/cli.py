"""`statesys topology check` and `statesys topology shards`."""

import click

from console.output import counted, print_json, stdout, table
from console.topology.checks import check as look
from runtime.broker import Administration
from runtime.broker.shards import count_shards, extend
from runtime.command import settings_without_logs
from runtime.options import json_option
from runtime.settings import Settings
from schemas.errors import SettingsError, TopologyWrong
from schemas.topology import MAX_SHARDS


@click.group()
def topology() -> None:
    """The broker's queues and exchanges: whether they are as they must be, and more of them."""


@topology.command()
@json_option
def check(*, as_json: bool) -> None:
    """Create missing queues and exchanges, and verify the existing ones.

    A property, argument or policy that drops messages, lets them expire or deletes a queue is
    wrong; a length limit with overflow reject-publish and more bindings are right. Policies, and
    the reply queues of fleets, are read from the management API (STATESYS_MANAGEMENT_URL);
    without it they are listed as not looked at.

    Exit codes: 0 right, 3 something is wrong, a permission is missing, or RabbitMQ or its
    management API cannot be reached.

    \b
    Example:
      statesys topology check
      statesys topology check --json
    """
    found = look(settings_without_logs())
    if as_json:
        print_json(
            {
                "right": not found.wrong,
                "checked": found.checked,
                "not_looked_at": found.unseen,
            }
        )
    else:
        rows = [(one.what, told) for one in found.checked for told in one.problems or ["right"]]
        rows += [(what, "not looked at") for what in found.unseen]
        stdout().print(table(("what", "verdict"), rows))
    if found.wrong:
        raise TopologyWrong(
            f"{counted(found.wrong, 'problem')} with queues and exchanges: remove the policies "
            "that are named; what has wrong properties, stop using, empty, delete, and check "
            "again; why a queue has no leader, the broker's log says"
        )
    if found.trouble is not None:
        raise found.trouble


@topology.command()
@click.argument("count", metavar="[N]", type=click.IntRange(1, MAX_SHARDS), required=False)
@json_option
def shards(*, count: int | None, as_json: bool) -> None:
    """Cut the work queues into N shards; without N, tell how many there are.

    For a site where one queue is too hot for its leader. What is published to mp_relayendpoint
    goes on, spread over the shards by the client; relays and loaders that run take the new shards
    within half a minute. There is no way back to fewer. Needs a user who may configure queues, and
    RabbitMQ's plugin rabbitmq_consistent_hash_exchange.

    \b
    Example:
      statesys topology shards
      statesys topology shards 3
    """
    found = _cut(settings_without_logs(), count)
    if as_json:
        print_json({"shards": found})
    else:
        click.echo(counted(found, "shard"))


def _cut(settings: Settings, shards: int | None) -> int:
    """Make as many shards as are asked for; queues that are there already are verified.

    Args:
        shards: None leaves everything as it is.

    Returns:
        How many there are now.

    Raises:
        SettingsError: there are more than that.
        BrokerUnavailable, PermissionMissing, TopologyWrong: as `Administration.declare`.
    """
    with Administration(settings.required_amqp_url(), name="statesys topology shards") as admin:
        there_are = count_shards(admin)
        if shards is None:
            return there_are
        if shards < there_are:
            raise SettingsError(
                f"there are {there_are} shards, and they cannot become {shards}: messages of "
                "clients may be on their way in each"
            )
        if shards > 1:
            extend(admin, shards)
        return shards
