"""Hostile clients: store faults, client faults and malformed reports, as a table of kinds.

`producers.faults` injects faults between client and broker; here the senders themselves are at
fault. Seeded random numbers decide where, and the store records each fault as injected, so that
`verify` knows what to expect.

The kinds are independent: all of them can happen to one client in one forward cycle.
"""

from collections.abc import Callable, Mapping

from producers.faults import FAULTS
from producers.hostile.client_faults import CLIENT_FAULTS
from producers.hostile.malformed import malformed
from producers.hostile.store_faults import STORE_FAULTS
from producers.seeded import draw, share

MALFORMED = "malformed"

#: Every kind by name; the first line of a docstring is its meaning. The rates of store faults and
#: client faults are shares of the clients' forward cycles, that of `malformed` is a share of the
#: reports.
HOSTILE: Mapping[str, Callable[..., object]] = {
    **STORE_FAULTS,
    **CLIENT_FAULTS,
    MALFORMED: malformed,
}

#: Faults after which the content of a report cannot be known.
_LOST = frozenset({"loss", "corrupt"})
assert FAULTS.keys() >= _LOST


def strikes(rates: Mapping[str, float], kind: str, seed: int, client: int, cycle: int) -> bool:
    """Whether a hostile kind happens to a client in a forward cycle.

    Args:
        rates: by kind, 0 to 1; a missing kind has rate 0.
        kind: name in `HOSTILE`.
        seed: of the fleet.
        client: number of the client.
        cycle: number of the forward cycle, or for `malformed` a number of the report.
    """
    rate = rates.get(kind, 0)
    return bool(rate) and share(draw(seed, "hostile", kind, client, cycle)) < rate


def destroys(fault: str) -> bool:
    """Whether the messages of a report with this fault never reach the history."""
    return fault in _LOST or fault.startswith(f"{MALFORMED}.")


def meaning(kind: str) -> str:
    """Return the meaning of a hostile kind, one sentence."""
    return (HOSTILE[kind].__doc__ or "").split("\n", 1)[0]
