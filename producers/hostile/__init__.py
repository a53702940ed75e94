"""Hostile clients: what goes wrong on the machines themselves, as a table of kinds.

`producers.faults` breaks what is on its way; here the senders are broken. Everything is drawn from
the seed, and what was done is in the store as injected, so that `verify` knows the truth.

The kinds are independent, so that all of them can happen to one client in one cycle.
"""

from collections.abc import Callable, Mapping

from producers.faults import FAULTS
from producers.hostile.client_faults import CLIENT_FAULTS
from producers.hostile.malformed import malformed
from producers.hostile.store_faults import STORE_FAULTS
from producers.seeded import draw, share

MALFORMED = "malformed"

#: Every kind, with what it means. The rates of the first two are shares of the forward cycles of
#: the clients, that of the last is a share of the reports.
HOSTILE: Mapping[str, Callable[..., object]] = {
    **STORE_FAULTS,
    **CLIENT_FAULTS,
    MALFORMED: malformed,
}

#: Faults after which nobody can tell what a report said.
_LOST = frozenset({"loss", "corrupt"})
assert FAULTS.keys() >= _LOST


def strikes(rates: Mapping[str, float], kind: str, seed: int, client: int, cycle: int) -> bool:
    """Whether a kind happens to a client in a forward cycle.

    Args:
        rates: by kind, 0 to 1.
    """
    rate = rates.get(kind, 0)
    return bool(rate) and share(draw(seed, "hostile", kind, client, cycle)) < rate


def destroys(fault: str) -> bool:
    """Whether the messages of a report that met a fault never get into the history."""
    return fault in _LOST or fault.startswith(f"{MALFORMED}.")


def meaning(kind: str) -> str:
    """What a kind is, in a sentence."""
    return (HOSTILE[kind].__doc__ or "").split("\n", 1)[0]
