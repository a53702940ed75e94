"""Store faults: loss or damage of a client's store, before its forward cycle."""

from collections.abc import Callable, Mapping

from producers.client import Client
from producers.store.damage import StoreDamage

#: Serials that a counter jumps ahead: within the cap of ranges, far beyond any history, and so many
#: that a loop over them would never end.
_AHEAD = (1_000, 10**7, 2**40)

#: Takes the damage interface, a client and a seeded random number; returns the changed client.
StoreFault = Callable[[StoreDamage, Client, int], Client]


def rollback(damage: StoreDamage, client: Client, _number: int) -> Client:
    """The store is rolled back to its state of at most two cycles ago; serials are used again."""
    return damage.restore(client, "rollback")


def lost(damage: StoreDamage, client: Client, _number: int) -> Client:
    """The store is lost; the serials begin at 1 again."""
    return damage.wipe(client, "lost")


def ahead(damage: StoreDamage, client: Client, number: int) -> Client:
    """The counter jumps far ahead; the serials between are never used."""
    return damage.skip(client, _AHEAD[number % len(_AHEAD)], "ahead")


def twin(damage: StoreDamage, client: Client, _number: int) -> Client:
    """A new client is a cloned machine with the id of the client before it."""
    return damage.clone(client, "twin")


STORE_FAULTS: Mapping[str, StoreFault] = {
    "twin": twin,
    "rollback": rollback,
    "lost": lost,
    "ahead": ahead,
}
