"""Chance that can be repeated: every draw is a function of the seed and of what it decides.

A generator that is drawn from in turn would make the thousandth client depend on the nine hundred
and ninety-nine before it. Here a draw is a hash of its subject, so any client can be made alone,
in any order, after any restart, and nothing has to be kept for those that wait.
"""

from hashlib import blake2b
from uuid import UUID

#: What `draw` returns is below this.
DRAWS = 2**64


def draw(seed: int, *subject: int | str) -> int:
    """A number below 2^64 for a subject.

    Args:
        seed: of the fleet.
        subject: what is decided, such as ("fault", client number, serial).
    """
    return int.from_bytes(_hash(seed, subject, 8), "little")


def drawn_uuid(seed: int, *subject: int | str) -> UUID:
    """A UUID (in the form of version 4) for a subject."""
    return UUID(bytes=_hash(seed, subject, 16), version=4)


def share(number: int) -> float:
    """A draw as a number in [0, 1)."""
    # A float keeps 53 bits; dividing all 64 could round up to 1.
    return (number >> 11) / 2**53


def _hash(seed: int, subject: tuple[int | str, ...], size: int) -> bytes:
    return blake2b(repr((seed, *subject)).encode(), digest_size=size).digest()
