"""Seeded random numbers: each is a hash of the seed and of the decision that it is for.

With a sequential generator, the numbers of a client would depend on all clients before it. A hash
depends on its own input only: clients can be computed in any order and after any restart, and no
generator state has to be saved.
"""

from hashlib import blake2b
from uuid import UUID


def draw(seed: int, *subject: int | str) -> int:
    """Return the seeded random number for a subject, 0 to 2^64 - 1.

    Args:
        seed: of the fleet.
        subject: the decision that the number is for, such as ("fault", client number, serial).
    """
    return int.from_bytes(_hash(seed, subject, 8), "little")


def drawn_uuid(seed: int, *subject: int | str) -> UUID:
    """Return the seeded UUID (in the form of version 4) for a subject; arguments as `draw`."""
    return UUID(bytes=_hash(seed, subject, 16), version=4)


def share(number: int) -> float:
    """Convert a result of `draw` to a number in [0, 1)."""
    # A float keeps 53 bits; dividing all 64 bits could round up to 1.
    return (number >> 11) / 2**53


def _hash(seed: int, subject: tuple[int | str, ...], size: int) -> bytes:
    return blake2b(repr((seed, *subject)).encode(), digest_size=size).digest()
