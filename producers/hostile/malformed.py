"""Reports that break the contract, in several forms for every reason of a relay to refuse."""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from producers.faults import damage
from schemas.refusal import Reason
from schemas.report import MAX_NAME_LENGTH, MAX_REPORT_BYTES

_BOM = b"\xff\xfe"
#: Takes the text of a report; returns the malformed text.
_Form = Callable[[str], str]


class Malformed(NamedTuple):
    """A report that breaks the contract.

    Attributes:
        body: the bytes.
        reason: the reason for which the relay has to refuse it.
    """

    body: bytes
    reason: Reason


def malformed(body: bytes, number: int) -> Malformed:
    """Published in a form that breaks the contract, for any of the refusal reasons.

    Args:
        body: output of `render_report`: UTF-16, little-endian, with a byte-order mark.
        number: a seeded random number; chooses reason and form.
    """
    reason = REASONS[number % len(REASONS)]
    number //= len(REASONS)
    if reason is Reason.NOT_WELL_FORMED:
        return Malformed(damage(body, number), reason)
    forms = _FORMS[reason]
    text = forms[number % len(forms)](body[len(_BOM) :].decode("utf-16-le"))
    return Malformed(_BOM + text.encode("utf-16-le"), reason)


def _replaced(pattern: str, by: str) -> _Form:
    """Make a form that replaces the first match of a pattern."""
    compiled = re.compile(pattern, re.DOTALL)

    def replace(text: str) -> str:
        # A function, because a backslash in a replacement string would have a meaning.
        return compiled.sub(lambda _found: by, text, count=1)

    return replace


def _too_many_bytes(text: str) -> str:
    """Append spaces until the report is just above the size limit."""
    return text + " " * (MAX_REPORT_BYTES // 2 + 1 - len(text))


def _conflict(text: str) -> str:
    """Repeat the first message under the same serial with another state."""
    first = _MESSAGE.search(text)
    assert first is not None
    other = re.sub(r'<State ID="[^"]*"', '<State ID="7777"', first[0], count=1)
    return text.replace(first[0], first[0] + other, 1)


_MESSAGE = re.compile(r"<StateMessage .*?</StateMessage>", re.DOTALL)
_DOCTYPE = '<!DOCTYPE Report [<!ENTITY lol "lol">]>'
_SERIAL, _DATE = r' SerialNumber="[^"]*"', r"<Date>[^<]*</Date>"
_TIME, _STATE = r' MessageTime="[^"]*"', r'<State ID="[^"]*"'
#: An id with a quotation mark is written in apostrophes.
_TOPIC = r"""<Topic ID=(?:"[^"]*"|'[^']*')"""
_LONG = "x" * (MAX_NAME_LENGTH + 1)

_FORMS: Mapping[Reason, tuple[_Form, ...]] = {
    Reason.DOCTYPE: (_replaced("<Report>", f"{_DOCTYPE}<Report>"),),
    Reason.TOO_LARGE: (_too_many_bytes,),
    Reason.TOO_LONG: (
        _replaced(_TOPIC, f'<Topic ID="{_LONG}"'),
        _replaced(r"<NetBIOSName>[^<]*", f"<NetBIOSName>{_LONG}"),
    ),
    Reason.NO_CLIENT_ID: (
        _replaced(r"<ClientID>[^<]*</ClientID>", ""),
        _replaced(r"<ClientID>[^<]*", "<ClientID> "),
    ),
    Reason.BAD_CLIENT_ID: (
        _replaced(r"<ClientID>[^<]*", "<ClientID>GUID:this-is-none"),
        _replaced(r"<ClientID>[^<]*", "<ClientID>0"),
    ),
    Reason.NO_STATE_MESSAGE: (
        _replaced(r"<ReportBody>.*</ReportBody>", "<ReportBody></ReportBody>"),
    ),
    Reason.BAD_SERIAL: tuple(
        _replaced(_SERIAL, f' SerialNumber="{text}"')
        for text in ("", "0", "-1", "9223372036854775807", "1e3", "१")
    ),
    Reason.BAD_DATE: (
        _replaced(_DATE, "<Date>2026-03-01T12:00:00Z</Date>"),
        _replaced(_DATE, "<Date></Date>"),
        _replaced(_TIME, ' MessageTime="19691231235959.000000+000"'),
        _replaced(_TIME, ' MessageTime="22010101000000.000000+000"'),
        _replaced(_TIME, ' MessageTime="20260231000000.000000+000"'),
    ),
    Reason.BAD_NUMBER: tuple(
        _replaced(_STATE, f'<State ID="{text}"') for text in ("", "one", "4294967296", "1.5")
    ),
    Reason.BAD_STRUCTURE: (
        lambda text: text.replace("<Report>", "<Raport>").replace("</Report>", "</Raport>"),
        _replaced(r"<State ID=[^>]*/>", ""),
        _replaced("</ReportBody>", "<Note/></ReportBody>"),
        _replaced(_DATE, ""),
        _replaced(
            "</ReportDetails>",
            '<Resync RequestID="11111111-1111-4111-8111-111111111111" FirstSerial="2"'
            ' LastSerial="1"/></ReportDetails>',
        ),
    ),
    Reason.SERIAL_CONFLICT: (_conflict,),
}
#: The refusal reasons that a relay can give, in the order of `Reason`.
REASONS = tuple(r for r in Reason if r in _FORMS or r is Reason.NOT_WELL_FORMED)
