"""Faults on purpose: what can happen to a report on its way, as a table.

Each fault says which publishes become of one report. The client believes that it was sent, whatever
happens here: its serials are given, and what does not arrive is the server's to find out.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from producers.seeded import draw, share

_BOM_BYTES = 2


class Publish(NamedTuple):
    """One publish of a report.

    Attributes:
        body: the bytes, perhaps damaged.
        held: how many newer reports of the same client go first; 0 is none.
    """

    body: bytes
    held: int = 0


#: From the report's bytes and a draw to what is published.
Fault = Callable[[bytes, int], tuple[Publish, ...]]


def lose(_body: bytes, _number: int) -> tuple[Publish, ...]:
    """Counted as sent, never published."""
    return ()


def duplicate(body: bytes, _number: int) -> tuple[Publish, ...]:
    """Published twice."""
    return (Publish(body), Publish(body))


def reorder(body: bytes, number: int) -> tuple[Publish, ...]:
    """Held back until one to three newer reports of the same client went ahead."""
    return (Publish(body, held=1 + number % 3),)


def corrupt(body: bytes, number: int) -> tuple[Publish, ...]:
    """Published with bytes that are no well-formed XML any more."""
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
    """Which fault a report meets, at most one.

    Args:
        rates: share of the reports for each fault, by name; together at most 1.
        seed: of the fleet.
        client, serial, life: the client's number, the report's first serial and the life in which
            it was given: they name the report.
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
    """What is published of a report that meets a fault."""
    return FAULTS[name](body, draw(seed, name, client, serial, *_again(life)))


def _again(life: int) -> tuple[int, ...]:
    """A report of a later life is another one than that of the first under the same serial."""
    return (life,) if life else ()


def damage(body: bytes, number: int) -> bytes:
    """Break a rendered report so that no parser can take it for XML.

    Args:
        body: as `render_report` makes it: UTF-16, little-endian, with a byte-order mark.
        number: chooses kind and place of the damage.
    """
    kind, place = _DAMAGES[number % len(_DAMAGES)], number // len(_DAMAGES)
    return kind(body, place)


def _cut_off(body: bytes, place: int) -> bytes:
    """The connection broke: at least the end of the root's closing tag is missing."""
    return body[: _BOM_BYTES + place % (len(body) - _BOM_BYTES - 1)]


def _control_character(body: bytes, place: int) -> bytes:
    """A bit flipped on a disk: U+0001 is allowed nowhere in XML 1.0."""
    at = _BOM_BYTES + 2 * (place % ((len(body) - _BOM_BYTES) // 2))
    return body[:at] + b"\x01\x00" + body[at:]


def _unquoted(body: bytes, _place: int) -> bytes:
    """A sender that forgets a quote; the first message has the first raw `MessageTime`."""
    return body.replace(_utf16(' MessageTime="'), _utf16(" MessageTime="), 1)


def _wrong_end(body: bytes, _place: int) -> bytes:
    """A sender that closes what it did not open; the last end tag of the body is a real one."""
    before, tag, after = body.rpartition(_utf16("</ReportBody>"))
    return before + tag.replace(_utf16("Body"), _utf16("Bidy")) + after


def _utf16(text: str) -> bytes:
    return text.encode("utf-16-le")


_DAMAGES = (_cut_off, _control_character, _unquoted, _wrong_end)
