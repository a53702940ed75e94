"""The resync request: the server asks a client for its whole current state."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from lxml import etree

from schemas import xml
from schemas.errors import Refused
from schemas.guid import parse_guid, render_guid
from schemas.refusal import Reason
from schemas.serials import FIRST_SERIAL, LAST_SERIAL, SerialRange

#: Ranges named in one request. A client answers with its whole state, so the rest can be left out.
MAX_REQUEST_RANGES = 100
#: Bytes; a request with all its ranges is about 6 KiB.
MAX_REQUEST_BYTES = 64 * 1024


class ResyncReason(StrEnum):
    """Why a client is asked."""

    MISSING = "missing"
    SERIAL_REUSED = "serial_reused"
    MERGED = "merged"
    OPERATOR = "operator"


class ResyncRequest(NamedTuple):
    """One request to one client.

    Attributes:
        highest_serial: the highest that the server knows; the client continues above it.
        requested_at: the earliest moment to send the request; aware, UTC.
        ranges: missing ranges, at most 100 of them.
        more: there are more ranges than are named.
    """

    request_id: UUID
    client_id: UUID
    reason: ResyncReason
    highest_serial: int
    requested_at: datetime
    ranges: tuple[SerialRange, ...] = ()
    more: bool = False


def render_request(request: ResyncRequest) -> bytes:
    """Render a request, UTF-8."""
    more = {"More": "1"} if request.more else {}
    root = etree.Element(
        "ResyncRequest",
        {
            "ID": str(request.request_id),
            "ClientID": render_guid(request.client_id),
            "Reason": request.reason.value,
            "HighestSerial": str(request.highest_serial),
            "RequestedAt": request.requested_at.isoformat(),
            **more,
        },
    )
    for first, last in request.ranges:
        etree.SubElement(root, "MissingRange", {"First": str(first), "Last": str(last)})
    return etree.tostring(root, encoding="UTF-8")


def parse_request(body: bytes) -> ResyncRequest:
    """Read a request, as a client does.

    Raises:
        Refused: when it breaks the contract.
    """
    root = xml.parse(body, max_bytes=MAX_REQUEST_BYTES)
    if root.tag != "ResyncRequest":
        raise Refused(Reason.BAD_STRUCTURE, "the root element is not ResyncRequest")
    try:
        requested_at = datetime.fromisoformat(str(root.attrib["RequestedAt"]))
        if requested_at.tzinfo is None:
            raise ValueError("RequestedAt has no zone")
        return ResyncRequest(
            request_id=_guid(root, "ID"),
            client_id=_guid(root, "ClientID"),
            reason=ResyncReason(str(root.attrib["Reason"])),
            # 0: the server has received no numbered message.
            highest_serial=_serial(root, "HighestSerial", at_least=0),
            requested_at=requested_at,
            ranges=tuple(map(_range, root)),
            more=root.get("More") == "1",
        )
    except (KeyError, ValueError) as error:
        raise Refused(Reason.BAD_STRUCTURE, f"not a resync request: {error}") from None


def _range(element: etree._Element) -> SerialRange:
    if element.tag != "MissingRange":
        raise ValueError(f"unknown element {str(element.tag)[:80]}")
    first = _serial(element, "First")
    return SerialRange(first, _serial(element, "Last", at_least=first))


def _guid(element: etree._Element, attribute: str) -> UUID:
    guid = parse_guid(str(element.attrib[attribute]))
    if guid is None:
        raise ValueError(f"{attribute} is no GUID")
    return guid


def _serial(element: etree._Element, attribute: str, *, at_least: int = FIRST_SERIAL) -> int:
    """A serial within bounds: the client continues its numbering above the highest one."""
    text = str(element.attrib[attribute])
    if text.isascii() and text.isdigit() and at_least <= int(text) <= LAST_SERIAL:
        return int(text)
    raise ValueError(f"{attribute} {text[:40]!r} is not in {at_least}..2^63-2")
