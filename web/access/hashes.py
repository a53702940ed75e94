"""Hashes of passwords and tokens, as the file of users holds them.

A password is hashed by scrypt, which is slow on purpose. A token of ours has 256 random bits that
nobody can guess, so a quick hash suffices.
"""

import base64
import hmac
import re
import secrets
from hashlib import scrypt, sha256

#: 2^14 blocks of 8 · 128 bytes: 16 MiB and about 50 ms for each attempt.
_COST, _BLOCK, _LANES = 2**14, 8, 1
_SALT = 16
_FORM = re.compile(r"scrypt:(\d{1,7}):(\d{1,2}):(\d{1,2}):([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)")
_TOKEN_FORM = re.compile(r"sha256:([0-9a-f]{64})")
#: Memory of one attempt that a file may ask for, in bytes.
_MOST_MEMORY = 128 * 1024 * 1024


def new_token() -> str:
    """Make a token; its beginning tells a person who finds one what it is."""
    return f"statesys_{secrets.token_urlsafe(32)}"


def hash_token(token: str) -> str:
    """The hash of a token."""
    return f"sha256:{sha256(token.encode()).hexdigest()}"


def hash_password(password: str) -> str:
    """The hash of a password, with a salt of its own."""
    salt = secrets.token_bytes(_SALT)
    key = _scrypt(password, salt, _COST, _BLOCK, _LANES)
    parts = (base64.b64encode(part).decode() for part in (salt, key))
    return ":".join(["scrypt", str(_COST), str(_BLOCK), str(_LANES), *parts])


def is_hash(text: str) -> bool:
    """Whether a text is a hash that `verify` can use."""
    found = _FORM.fullmatch(text)
    if found is None:
        return _TOKEN_FORM.fullmatch(text) is not None
    cost, block, lanes = (int(number) for number in found.groups()[:3])
    return (
        cost > 1
        and cost.bit_count() == 1
        and block > 0
        and lanes > 0
        and 128 * cost * block * lanes <= _MOST_MEMORY
    )


def verify(secret: str, hashed: str) -> bool:
    """Whether a hash is one of a secret; takes as long whether it is or not."""
    found = _FORM.fullmatch(hashed)
    if found is None:
        return hmac.compare_digest(hash_token(secret), hashed)
    cost, block, lanes = (int(number) for number in found.groups()[:3])
    salt, key = (base64.b64decode(part) for part in found.groups()[3:])
    return hmac.compare_digest(_scrypt(secret, salt, cost, block, lanes), key)


def _scrypt(password: str, salt: bytes, cost: int, block: int, lanes: int) -> bytes:
    # OpenSSL wants to be told that it may take a little more than the blocks.
    memory = 128 * block * (cost + lanes + 2) * 2
    return scrypt(password.encode(), salt=salt, n=cost, r=block, p=lanes, maxmem=memory, dklen=32)
