"""The short way to read reports: one grammar for the shape in which real clients write them.

ConfigMgr's clients and ours always write a report in the same shape: elements and attributes in
one order, no comments. In a text of that shape, regular expressions find every value in a small
part of the time that it takes to parse XML and walk its tree.

**The law**: what is found here, `report_reader` and `smx` read with the same values. All else is
left to them: None means "not of this shape", and never "refused". So the contract and its reasons
are told there alone, and a guard that is too strict here costs time and nothing else. Tests hold
the two ways equal, and the fuzz run does so on any number of mutated documents.

How the grammar keeps the law:

- **Nothing is searched for.** Each part begins where the part before it has ended, from the first
  character to the last. A `</Report>` or `</SMX>` inside a text is a part of that text.
- **A text is what stands there.** It has no `<`, no `>`, and no carriage return, which XML reads as
  a line feed. An attribute has no tab and no line feed either, which XML reads as spaces. A CDATA
  section has no `]`, except at its end. `&` stands in parameters and details alone, in the four
  references that every writer of XML makes.
- **No other markup**: no comment, no instruction, no DOCTYPE, no namespace.
- **A number has one form and stays in its range**: no leading zeros, up to 18 digits for a serial.
- **A date exists**: the days of each month, leap years, and years that no offset moves out of
  1970 to 2200.
- **What a form cannot say is looked at afterwards**: a serial that comes twice, and whether a
  claim covers the serials. If either is doubtful, the text goes the long way.

Repetitions are possessive, so that the time grows no faster than the text.
"""

import re
from operator import itemgetter
from typing import NamedTuple, TypeAlias

from schemas import cim_datetime, xml
from schemas.digest import ABSENT, FIELD, PARAM
from schemas.errors import Refused
from schemas.plain import Plain, plain
from schemas.report import (
    MAX_NAME_LENGTH,
    MAX_PARAMS,
    UNNUMBERED_TOPICS,
    Lane,
    lane_of,
)
from schemas.smx import MAX_BATCH_BYTES, parse_batch

_SPACE = r"[ \t\r\n]*+"


def _attribute(name: str, value: str) -> str:
    return f' {name}="{value}"'


def _element(name: str, value: str) -> str:
    return f"<{name}>{value}</{name}>"


def _parent(name: str, *parts: str) -> str:
    return _SPACE.join((f"<{name}>", *parts, f"</{name}>"))


def _optional(part: str) -> str:
    return f"(?:{part})?+"


# -- values -----------------------------------------------------------------------------------

#: What XML 1.0 does not have, and the carriage return.
_FOREIGN = r"\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff"
_TEXT = rf"[^<&>{_FOREIGN}]*+"
#: A text in which the letters of markup are written as every XML writer does it.
_ESCAPED = rf"{_TEXT}(?:&(?:amp|lt|gt|quot);{_TEXT})*+"
_HEADER_TEXT = rf"[^<&>{_FOREIGN}]{{0,{MAX_NAME_LENGTH}}}+"
_CDATA = rf"<!\[CDATA\[([^\]{_FOREIGN}]*+)\]\]>"
_NAME = rf'[^<&"\t\n{_FOREIGN}]{{0,{MAX_NAME_LENGTH}}}+'

_TEN_DIGITS = (
    "(?:1[0-9]{9}|2(?:0[0-9]{8}|1(?:[0-3][0-9]{7}|4(?:[0-6][0-9]{6}|7(?:[0-3][0-9]{5}|"
    "4[0-7][0-9]{4})))))"
)
#: Nearly all that an int4 can hold; the last thousands before 2^31 are no numbers of real senders.
_INT4 = rf"(?:0|-?+(?:[1-9][0-9]{{0,8}}|{_TEN_DIGITS}))"
#: HRESULTs, which some senders write without a sign.
_STATE_ID = rf"(?:{_INT4}|[23][0-9]{{9}})"
_SERIAL = r"[1-9][0-9]{0,17}+"
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_GUID = r"(?:GUID: ?+)?+[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"

_LEAP_YEAR = r"(?:19(?:[79][26]|8[048])|2000|2[01](?:0[48]|[2468][048]|[13579][26]))"
_YEAR = r"(?:197[1-9]|19[89][0-9]|2[01][0-9]{2})"


def _date(hyphen: str) -> str:
    return (
        rf"(?:{_YEAR}{hyphen}"
        rf"(?:(?:0[1-9]|1[0-2]){hyphen}(?:0[1-9]|1[0-9]|2[0-8])"
        rf"|(?:0[13-9]|1[0-2]){hyphen}(?:29|30)|(?:0[13578]|1[02]){hyphen}31)"
        rf"|{_LEAP_YEAR}{hyphen}02{hyphen}29)"
    )


def _time(colon: str) -> str:
    return rf"(?:[01][0-9]|2[0-3]){colon}[0-5][0-9]{colon}[0-5][0-9]"


_CIM = rf"{_date('')}{_time('')}\.[0-9]{{6}}[+-][0-9]{{3}}"
#: As Python writes a moment in UTC: a fraction of zero is left out.
_ISO = rf"{_date('-')}T{_time(':')}(?:\.(?!000000)[0-9]{{6}})?+\+00:00"

# -- a report ---------------------------------------------------------------------------------

_DECLARATION = (
    r'<\?xml version="1\.0"' + _optional(_attribute("encoding", "(?i:utf-8|utf-16)")) + r"\?>"
)
_CLIENT_ID = (
    "<ClientID"
    + _optional(_attribute("IDType", _INT4))
    + _optional(_attribute("IDFlag", _INT4))
    + f">(?P<client>{_GUID})</ClientID>"
)
_MACHINE = _parent(
    "Machine",
    _optional(_element("ClientInstalled", _TEXT)),
    _optional(_element("ClientType", _TEXT)),
    _CLIENT_ID,
    _optional(_element("ClientVersion", f"(?P<version>{_HEADER_TEXT})")),
    _optional(_element("NetBIOSName", f"(?P<name>{_HEADER_TEXT})")),
    _optional(_element("CodePage", _TEXT)),
    _optional(_element("SystemDefaultLCID", _TEXT)),
    _optional(_element("Priority", "(?P<priority>[0-9]{1,9})")),
)
_CLAIM = (
    "<Resync"
    + _attribute("RequestID", f"(?P<request>{_GUID})")
    + _attribute("FirstSerial", f"(?P<first>{_SERIAL})")
    + _attribute("LastSerial", f"(?P<last>{_SERIAL})")
    + " ?+/>"
)
_DETAILS = _parent(
    "ReportDetails",
    _optional(_element("ReportContent", _TEXT)),
    _optional(_element("ReportType", _TEXT)),
    _element("Date", f"(?P<date>{_CIM})"),
    _optional(_element("Version", _TEXT)),
    _optional(_element("Format", _TEXT)),
    _optional(_CLAIM),
)
_HEADER = _parent("ReportHeader", _parent("Identification", _MACHINE), _DETAILS)
_HEAD = _SPACE.join(("<Report>", _HEADER, "<ReportBody>", ""))
_TAIL = _SPACE.join(("</ReportBody>", "</Report>"))

_TOPIC = (
    "<Topic"
    + _attribute("ID", f"({_NAME})")
    + _attribute("Type", f"(?P<type>{_INT4})")
    + _optional(_attribute("IDType", f"({_INT4})"))
    + _optional(_attribute("User", f"({_NAME})"))
    + _optional(_attribute("UserSID", f"({_NAME})"))
    + " ?+/>"
)
_STATE = (
    "<State"
    + _attribute("ID", f"({_STATE_ID})")
    + _optional(_attribute("Criticality", f"({_INT4})"))
    + " ?+/>"
)
_PARAM = _element("Param", f"({_ESCAPED})")
_PARAMETERS = (
    "<UserParameters"
    + _optional(_attribute("Flags", _INT4))
    + _optional(_attribute("Count", _INT4))
    + f">{_SPACE}("
    + f"(?:{_element('Param', _ESCAPED)}{_SPACE}){{0,{MAX_PARAMS}}}+"
    + ")</UserParameters>"
)
_STATE_DETAILS = (
    "<StateDetails"
    + _optional(_attribute("Type", f"({_NAME})"))
    + f">(?:{_CDATA}|({_ESCAPED}))</StateDetails>"
)
_MESSAGE = _SPACE.join(
    (
        "<StateMessage"
        + _attribute("MessageTime", f"({_CIM})")
        + _optional(_attribute("SerialNumber", f"(?P<serial>{_SERIAL})"))
        + ">",
        _TOPIC,
        _STATE,
        _optional(_PARAMETERS),
        _optional(_STATE_DETAILS),
        "</StateMessage>",
        "",
    )
)

# -- a batch ----------------------------------------------------------------------------------

_BATCH = f"<Batch{_attribute('ID', f'({_UUID})')}{_attribute('Relay', f'({_NAME})')}>"
_SMX = (
    "<SMX"
    + _attribute("ID", f"({_UUID})")
    + _attribute("ReceivedAt", f"({_ISO})")
    + _optional(_attribute("ForwardedAt", f"({_ISO})"))
    + _optional(_attribute("MessageID", _NAME))
    + _optional(_attribute("ReplyTo", f"({_NAME})"))
    + ">"
)
_SMX_TAIL, _BATCH_TAIL = "</SMX>", "</Batch>"

_Found: TypeAlias = "re.Match[str]"
_before_root = re.compile(f"(?:{_DECLARATION})?+{_SPACE}").match
_behind_root = re.compile(rf"{_SPACE}\0?+{_SPACE}").fullmatch
_head = re.compile(_HEAD).match
_message = re.compile(_MESSAGE).match
_tail = re.compile(_TAIL).match
# Only within what `_PARAMETERS` has matched: no text there has a tag.
_params = re.compile(_PARAM).findall
_batch = re.compile(_BATCH).match
_smx = re.compile(_SMX).match
_UNCOUNTED = frozenset(map(str, UNNUMBERED_TOPICS))
# By number they are found in half the time.
_serial_and_type = itemgetter(*map(re.compile(_MESSAGE).groupindex.__getitem__, ("serial", "type")))


class Canonical(NamedTuple):
    """A report of the canonical shape, found in a text.

    Attributes:
        begin, end: where its root element stands.
        head: what comes before the messages.
        messages: one or more.
    """

    text: str
    begin: int
    end: int
    head: _Found
    messages: list[_Found]

    @property
    def root(self) -> bytes:
        """The root element as its sender wrote it, in UTF-8."""
        return self.text[self.begin : self.end].encode()

    @property
    def claim(self) -> tuple[str, str, str] | None:
        """As of `Plain`."""
        request_id, first, last = self.head.group("request", "first", "last")
        return None if request_id is None else (_guid(request_id), first, last)

    @property
    def lane(self) -> Lane:
        """As of `Report`."""
        priority = self.head["priority"]
        return lane_of(None if priority is None else int(priority), self.claim)

    def plain(self, batch_id: str, envelope: _Found) -> Plain:
        """Its values, in an envelope."""
        smx_id, received_at, forwarded_at, reply_to = envelope.groups()
        client_id, version, name, date = self.head.group("client", "version", "name", "date")
        return Plain(
            batch_id,
            smx_id,
            received_at,
            forwarded_at,
            reply_to,
            _guid(client_id),
            (name or "").strip(),
            (version or "").strip(),
            _iso(date),
            self.claim,
            tuple(map(_text, self.messages)),
        )


def find_report(text: str) -> Canonical | None:
    """The report that a document of the canonical shape is; None for any other."""
    before = _before_root(text)
    assert before is not None
    found = _report(text, before.end())
    return None if found is None or _behind_root(text, found.end) is None else found


def read_batch(body: bytes) -> list[Plain]:
    """Read a batch the short way as far as that goes, and what is left the long way.

    Raises:
        Refused: as `parse_batch` does.
    """
    text = xml.text(body) if len(body) <= MAX_BATCH_BYTES else None
    found, rest = ([], "") if text is None else _begin(text)
    if not found:
        return _long_way(body)
    if not rest:
        return found
    try:
        return found + _long_way(rest.encode())
    except Refused:
        # In the words that fit the whole.
        return _long_way(body)


def _long_way(body: bytes) -> list[Plain]:
    batch = parse_batch(body)
    return [plain(batch.batch_id, smx) for smx in batch.smx]


def _begin(text: str) -> tuple[list[Plain], str]:
    """The SMX with which a batch begins, and a batch of the rest; empty when there is none."""
    batch = _batch(text)
    if batch is None:
        return [], text
    found: list[Plain] = []
    at = batch.end()
    while (envelope := _smx(text, at)) is not None:
        report = _report(text, envelope.end())
        if report is None or not text.startswith(_SMX_TAIL, report.end):
            break
        found.append(report.plain(batch[1], envelope))
        at = report.end + len(_SMX_TAIL)
    rest = text[at:]
    return found, "" if rest == _BATCH_TAIL else batch[0] + rest


def _report(text: str, begin: int) -> Canonical | None:
    head = _head(text, begin)
    if head is None:
        return None
    messages = []
    at = head.end()
    while (message := _message(text, at)) is not None:
        messages.append(message)
        at = message.end()
    tail = _tail(text, at)
    if not messages or tail is None:
        return None
    found = Canonical(text, begin, tail.end(), head, messages)
    return found if _consistent(found) else None


def _consistent(found: Canonical) -> bool:
    """Whether no serial comes twice, and a claim covers all of them."""
    serials = [
        serial
        for serial, topic_type in map(_serial_and_type, found.messages)
        if serial is not None and topic_type not in _UNCOUNTED
    ]
    if len(set(serials)) < len(serials):
        return False
    if found.claim is None:
        return True
    _, first, last = found.claim
    return all(int(first) <= number <= int(last) for number in map(int, (first, *serials)))


def _text(message: _Found) -> str:
    """A message as `schemas.digest.digested` writes it."""
    (
        time,
        serial,
        topic_id,
        topic_type,
        id_type,
        user_name,
        user_sid,
        state_id,
        criticality,
        inside,
        details_type,
        cdata,
        escaped,
    ) = message.groups()
    params = _params(inside) if inside else ()
    details = cdata if escaped is None else _unescaped(escaped)
    return (
        f"{serial or ABSENT}{FIELD}{topic_type}{FIELD}{topic_id}{FIELD}{id_type or ABSENT}{FIELD}"
        f"{user_name or ''}{FIELD}{user_sid or ''}{FIELD}{state_id}{FIELD}{criticality or '0'}"
        f"{FIELD}{_iso(time)}{FIELD}{len(params)}{FIELD}{PARAM.join(map(_unescaped, params))}"
        f"{FIELD}{ABSENT if details is None else details}"
        f"{FIELD}{ABSENT if details_type is None else details_type}"
    )


def _iso(cim: str) -> str:
    if not cim.endswith(("+000", "-000")):
        return cim_datetime.parse(cim).isoformat()
    fraction = "" if cim[15:21] == "000000" else cim[14:21]
    day = f"{cim[:4]}-{cim[4:6]}-{cim[6:8]}"
    return f"{day}T{cim[8:10]}:{cim[10:12]}:{cim[12:14]}{fraction}+00:00"


def _guid(text: str) -> str:
    return text[-36:].lower()


def _unescaped(text: str) -> str:
    if "&" not in text:
        return text
    text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"')
    # Last: what this makes must not be taken for the beginning of another.
    return text.replace("&amp;", "&")
