"""Cuts the work queues into shards."""

from runtime.broker import Administration
from runtime.broker.shards import count_shards, extend
from runtime.settings import Settings
from schemas.errors import SettingsError


def cut(settings: Settings, shards: int | None) -> int:
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
