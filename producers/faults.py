"""Injected faults between client and broker, as a table.

Each fault turns one report into zero or more publishes. The client counts the report as sent in any
case: its serials are used, and the server has to detect what is missing.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from producers.seeded import draw, share

_BOM_BYTES = 2


class Publish(NamedTuple):
    """One publish of a report.

    Attributes:
        body: the bytes of the report, damaged or not.
        held: number of newer reports of the same client that go first; 0 means publish at once.
    """

    body: bytes
    held: int = 0


#: Takes the bytes of a report and a seeded random number; returns what is published.
Fault = Callable[[bytes, int], tuple[Publish, ...]]


def lose(_body: bytes, _number: int) -> tuple[Publish, ...]:
    """Counted as sent, never published."""
    return ()


def duplicate(body: bytes, _number: int) -> tuple[Publish, ...]:
    """Published twice."""
    return (Publish(body), Publish(body))


def reorder(body: bytes, number: int) -> tuple[Publish, ...]:
    """Held back until one to three newer reports of the same client have gone first."""
    return (Publish(body, held=1 + number % 3),)


def corrupt(body: bytes, number: int) -> tuple[Publish, ...]:
    """Published with damaged bytes, which are no longer well-formed XML."""
    return (Publish(damage(body, number)),)


FAULTS: Mapping[str, Fault] = {
    "loss": lose,
    "duplicate": duplicate,
    "reorder": reorder,
    "corrupt": corrupt,
}


def chosen(
    rates: Mapping[str, float], seed: int, client: int, serial: int, *, life: int = 0
) -> str | None:
    """Choose the fault of a report.

    Args:
        rates: share of the reports for each fault, by name; together at most 1.
        seed: of the fleet.
        client: number of the client.
        serial: first serial of the report.
        life: the client's life in which the serial was used.

    Returns:
        The name of the fault, or None.
    """
    if not rates:
        return None
    at = share(draw(seed, "fault", client, serial, *_again(life)))
    for name, rate in rates.items():
        if at < rate:
            return name
        at -= rate
    return None


def happen(
    name: str, body: bytes, seed: int, client: int, serial: int, *, life: int = 0
) -> tuple[Publish, ...]:
    """Return what is published of a report with the fault `name`; other arguments as `chosen`."""
    return FAULTS[name](body, draw(seed, name, client, serial, *_again(life)))


def _again(life: int) -> tuple[int, ...]:
    """Extend the key of a report in a later life, where serials of the first are used again."""
    return (life,) if life else ()


def damage(body: bytes, number: int) -> bytes:
    """Damage a rendered report so that it is no longer well-formed XML.

    Args:
        body: output of `render_report`: UTF-16, little-endian, with a byte-order mark.
        number: a seeded random number; chooses kind and place of the damage.
    """
    kind, place = _DAMAGES[number % len(_DAMAGES)], number // len(_DAMAGES)
    return kind(body, place)


def _cut_off(body: bytes, place: int) -> bytes:
    """Cut off the end, at least the last character of the root's closing tag."""
    return body[: _BOM_BYTES + place % (len(body) - _BOM_BYTES - 1)]


def _control_character(body: bytes, place: int) -> bytes:
    """Insert U+0001, which XML 1.0 allows nowhere."""
    at = _BOM_BYTES + 2 * (place % ((len(body) - _BOM_BYTES) // 2))
    return body[:at] + b"\x01\x00" + body[at:]


def _unquoted(body: bytes, _place: int) -> bytes:
    """Remove a quote of the first `MessageTime`; no text before it can contain that pattern."""
    return body.replace(_utf16(' MessageTime="'), _utf16(" MessageTime="), 1)


def _wrong_end(body: bytes, _place: int) -> bytes:
    """Misspell the last `</ReportBody>`; earlier ones may be text in a CDATA section."""
    before, tag, after = body.rpartition(_utf16("</ReportBody>"))
    return before + tag.replace(_utf16("Body"), _utf16("Bidy")) + after


def _utf16(text: str) -> bytes:
    return text.encode("utf-16-le")


_DAMAGES = (_cut_off, _control_character, _unquoted, _wrong_end)
