"""An SMX with all its values as text: the input for digests and rows of the table `stage`.

The fast path returns it directly; `smx_text` makes it from what the full reader returns.
"""

from typing import NamedTuple
from uuid import UUID

from schemas.digest import digested
from schemas.smx import Smx


class SmxText(NamedTuple):
    """One SMX. GUIDs are bare and in small letters, moments ISO 8601 in UTC.

    Attributes:
        claim: request id, first and last serial; None when the report makes no claim.
        texts: its messages, as `schemas.digest.digested` writes them.
    """

    batch_id: str
    smx_id: str
    received_at: str
    forwarded_at: str | None
    reply_to: str | None
    client_id: str
    client_name: str
    client_version: str
    date: str
    claim: tuple[str, str, str] | None
    texts: tuple[str, ...]


def smx_text(batch_id: UUID, smx: Smx) -> SmxText:
    """Write the values of an SMX."""
    envelope, report = smx
    forwarded_at, claim = envelope.forwarded_at, report.claim
    return SmxText(
        str(batch_id),
        str(envelope.smx_id),
        envelope.received_at.isoformat(),
        None if forwarded_at is None else forwarded_at.isoformat(),
        envelope.reply_to,
        str(report.client_id),
        report.client_name,
        report.client_version,
        report.date.isoformat(),
        None
        if claim is None
        else (str(claim.request_id), str(claim.first_serial), str(claim.last_serial)),
        tuple(map(digested, report.messages)),
    )
