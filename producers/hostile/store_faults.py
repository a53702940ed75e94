"""Misfortunes: what happens to the stores of clients, before their forward cycle."""

from collections.abc import Callable, Mapping

from producers.client import Client
from producers.store.damage import StoreDamage

#: How far a counter jumps ahead: within the cap of ranges, far beyond any history, and so far that
#: no loop over serials would ever end.
_AHEAD = (1_000, 10**7, 2**40)

#: What happens to a client's store, with a draw; the client as it is afterwards is returned.
StoreFault = Callable[[StoreDamage, Client, int], Client]


def rollback(harm: StoreDamage, client: Client, _number: int) -> Client:
    """The store is rolled back to what it was two cycles ago; serials come again."""
    return harm.restore(client, "rollback")


def lost(harm: StoreDamage, client: Client, _number: int) -> Client:
    """The store is lost; the serials begin at 1 again."""
    return harm.wipe(client, "lost")


def ahead(harm: StoreDamage, client: Client, number: int) -> Client:
    """The counter jumps far ahead; the serials between are never given."""
    return harm.skip(client, _AHEAD[number % len(_AHEAD)], "ahead")


def twin(harm: StoreDamage, client: Client, _number: int) -> Client:
    """A new client is another machine with the id of the one before it."""
    return harm.clone(client, "twin")


STORE_FAULTS: Mapping[str, StoreFault] = {
    "twin": twin,
    "rollback": rollback,
    "lost": lost,
    "ahead": ahead,
}
