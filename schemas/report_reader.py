"""The full reader, bytes to report: it checks all rules for a report; later code checks none.

The rules are those of `docs/wire.md`. The reader makes one pass over the tree, without XPath and
schema validation: measured on a 2-core machine, validating against the XSD alone takes as long,
and gives no refusal reason. A test compares the XSD with this reader.
"""

from functools import lru_cache
from typing import TypeAlias
from uuid import UUID

from lxml import etree

from schemas import cim_datetime, xml
from schemas.errors import Refused
from schemas.guid import parse_guid
from schemas.refusal import Reason
from schemas.report import (
    MAX_DEPTH,
    MAX_NAME_LENGTH,
    MAX_PARAMS,
    MAX_REPORT_BYTES,
    UNNUMBERED_TOPICS,
    Claim,
    Report,
    StateMessage,
)
from schemas.serials import FIRST_SERIAL, LAST_SERIAL

_INT4 = range(-(2**31), 2**31)
#: Some states are HRESULTs, which some senders write with a sign and some without.
_STATE_IDS = range(-(2**31), 2**32)
#: Sign and ten digits. Longer texts are out of range, or have needless zeros; and Python reads huge
#: integers slowly.
_NUMBER_LETTERS = 11
_SERIAL_LETTERS = 19

_Children: TypeAlias = "dict[str, etree._Element]"  # noqa: SLF001 (lxml's name of the type)
#: Known elements, refused where a StateMessage does not expect them: skipped as unknown, they
#: would be lost.
_ONCE_OR_ELSEWHERE = frozenset(
    {"Topic", "State", "UserParameters", "StateDetails", "StateMessage", "Param"}
)
_READ_ONCE = frozenset(
    {
        *("ReportHeader", "Identification", "Machine", "ReportDetails", "ReportBody"),
        *("ClientID", "NetBIOSName", "ClientVersion", "Date", "Resync"),
    }
)


def parse_report(body: bytes) -> Report:
    """Read a report as a client sends it.

    Args:
        body: UTF-16 with or without a byte-order mark, or UTF-8; at most 8 MiB.

    Raises:
        Refused: with the reason; it is the only exception, for any bytes.
    """
    return read_report(xml.parse(body, max_bytes=MAX_REPORT_BYTES))


def read_report(root: etree._Element) -> Report:
    """Read a report from its root element.

    Raises:
        Refused: with the reason.
    """
    if root.tag != "Report":
        raise _bad_structure(f"the root element is {_name(root)}, not Report")
    parts = _children(root, "ReportHeader", "ReportBody")
    header = _children(_only(parts, "ReportHeader"), "Identification", "ReportDetails")
    identification = _children(_only(header, "Identification"), "Machine")
    machine = _children(_only(identification, "Machine"))
    details = _children(_only(header, "ReportDetails"))
    client_id = _client_id(machine)
    date = _only(details, "Date").text or ""
    claim = _claim(details)
    messages = _messages(_only(parts, "ReportBody"))
    if claim is not None:
        _check_cover(claim, messages)
    return Report(
        client_id=client_id,
        client_name=_short(_text(machine, "NetBIOSName"), "NetBIOSName"),
        client_version=_short(_text(machine, "ClientVersion"), "ClientVersion"),
        date=cim_datetime.parse(date.strip()),
        messages=messages,
        priority=_priority(machine, identification, header, details),
        claim=claim,
    )


def _messages(body: etree._Element) -> tuple[StateMessage, ...]:
    messages: list[StateMessage] = []
    by_serial: dict[int, StateMessage] = {}
    for element in body:
        if element.tag != "StateMessage":
            raise _bad_structure(f"unknown element {_name(element)} in ReportBody")
        message = _message(element)
        if message.serial is not None:
            known = by_serial.setdefault(message.serial, message)
            if known is not message:
                if known != message:
                    raise Refused(
                        Reason.SERIAL_CONFLICT,
                        f"serial {message.serial} stands for two different messages",
                    )
                # The same message twice in one report is one message.
                continue
        messages.append(message)
    if not messages:
        raise Refused(Reason.NO_STATE_MESSAGE, "ReportBody has no StateMessage")
    return tuple(messages)


def _message(element: etree._Element) -> StateMessage:
    topic = state = details = None
    params: tuple[str, ...] | None = None
    for child in element:
        tag = child.tag
        if tag == "Topic" and topic is None:
            topic = child
        elif tag == "State" and state is None:
            state = child
        elif tag == "UserParameters" and params is None:
            params = _params(child)
        elif tag == "StateDetails" and details is None:
            details = child
        elif tag in _ONCE_OR_ELSEWHERE:
            raise _bad_structure(f"repeated or misplaced element {tag} in StateMessage")
        elif len(child):
            _check_depth(child)
    if topic is None or state is None:
        raise _bad_structure("a StateMessage without Topic or State")
    if len(topic) or len(state):
        raise _bad_structure("unknown element in Topic or State")
    about = topic.get
    topic_type = _number(_required(topic, "Type"))
    serial, serial_text = _serial(element.get("SerialNumber"), topic_type)
    id_type = about("IDType")
    # Positional: with keywords, making the tuple takes half as long again.
    return StateMessage(
        serial,
        serial_text,
        topic_type,
        _short(_required(topic, "ID"), "Topic/@ID"),
        None if id_type is None else _number(id_type),
        _short(about("User", ""), "Topic/@User"),
        _short(about("UserSID", ""), "Topic/@UserSID"),
        _state_id(_required(state, "ID")),
        _number(state.get("Criticality", "0")),
        cim_datetime.parse(_required(element, "MessageTime")),
        params or (),
        None if details is None else _content(details),
        None if details is None else _details_type(details),
    )


def _details_type(details: etree._Element) -> str | None:
    kind = details.get("Type")
    return None if kind is None else _short(kind, "StateDetails/@Type")


def _params(element: etree._Element) -> tuple[str, ...]:
    params = []
    for child in element:
        if child.tag != "Param":
            raise _bad_structure(f"unknown element {_name(child)} in UserParameters")
        params.append(_content(child))
    if len(params) > MAX_PARAMS:
        raise _bad_structure(f"{len(params)} elements Param; at most {MAX_PARAMS} are allowed")
    return tuple(params)


def _serial(text: str | None, topic_type: int) -> tuple[int | None, str | None]:
    """The serial, or the number as sent where the topic type is unnumbered."""
    if text is None:
        return None, None
    if topic_type in UNNUMBERED_TOPICS:
        return None, _short(text, "SerialNumber")
    return _serial_number(text, "SerialNumber"), None


def _serial_number(text: str, what: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= _SERIAL_LETTERS:
        serial = int(text)
        if FIRST_SERIAL <= serial <= LAST_SERIAL:
            return serial
    raise Refused(Reason.BAD_SERIAL, f"{what} {text[:40]!r} is not in 1..2^63-2")


def _client_id(machine: _Children) -> UUID:
    text = _text(machine, "ClientID")
    if not text:
        raise Refused(Reason.NO_CLIENT_ID, "the report has no ClientID")
    guid = parse_guid(text)
    if guid is None:
        raise Refused(Reason.BAD_CLIENT_ID, f"ClientID {text[:60]!r} is no GUID")
    return guid


def _claim(details: _Children) -> Claim | None:
    element = details.get("Resync")
    if element is None:
        return None
    text = _required(element, "RequestID")
    request_id = parse_guid(text)
    if request_id is None:
        raise _bad_structure(f"Resync/@RequestID {text[:60]!r} is no GUID")
    claim = Claim(
        request_id,
        _serial_number(_required(element, "FirstSerial"), "Resync/@FirstSerial"),
        _serial_number(_required(element, "LastSerial"), "Resync/@LastSerial"),
    )
    if claim.first_serial > claim.last_serial:
        raise _bad_structure("Resync: FirstSerial is greater than LastSerial")
    return claim


def _check_cover(claim: Claim, messages: tuple[StateMessage, ...]) -> None:
    for message in messages:
        if message.serial is not None and not (
            claim.first_serial <= message.serial <= claim.last_serial
        ):
            raise _bad_structure(
                f"Resync claims serials {claim.first_serial} to {claim.last_serial}, "
                f"but the report has {message.serial}"
            )


def _priority(*places: _Children) -> int | None:
    """The first priority that is a number; None without one, which counts as normal.

    Args:
        places: where it may stand, in the order in which they are tried.
    """
    for place in places:
        if (found := place.get("Priority")) is not None:
            text = (found.text or "").strip()
            if text.isascii() and text.isdigit() and len(text) <= _NUMBER_LETTERS:
                return int(text)
    return None


@lru_cache(maxsize=4096)
def _number(text: str) -> int:
    """A type or criticality; cached, because few distinct texts are repeated very often."""
    number = _in(_INT4, text)
    if number is None:
        raise Refused(
            Reason.BAD_NUMBER, f"a type or criticality {text[:40]!r} is no 32-bit integer"
        )
    return number


@lru_cache(maxsize=4096)
def _state_id(text: str) -> int:
    number = _in(_STATE_IDS, text)
    if number is None:
        raise Refused(Reason.BAD_NUMBER, f"a state id {text[:40]!r} is not in -2^31..2^32-1")
    return number


def _in(numbers: range, text: str) -> int | None:
    digits = text[1:] if text[:1] == "-" else text
    if digits.isascii() and digits.isdigit() and len(text) <= _NUMBER_LETTERS:
        number = int(text)
        if number in numbers:
            return number
    return None


def _short(text: str, what: str) -> str:
    if len(text) > MAX_NAME_LENGTH:
        raise Refused(Reason.TOO_LONG, f"{what} has {len(text)} characters, over {MAX_NAME_LENGTH}")
    return text


def _required(element: etree._Element, attribute: str) -> str:
    value = element.get(attribute)
    if value is None:
        raise _bad_structure(f"{_name(element)} has no attribute {attribute}")
    return value


def _children(parent: etree._Element, *containers: str) -> _Children:
    """Child elements by name; of others than `_READ_ONCE`, the last one of a name.

    Those of `_READ_ONCE` may occur once, since reading one of two would silently drop the other.

    Args:
        containers: the children that the caller reads next. A known name in another place counts
            as an unknown element, so its depth is checked like one.
    """
    found = {}
    for child in parent:
        tag = child.tag
        if tag in found and tag in _READ_ONCE:
            raise _bad_structure(f"{_name(parent)} has more than one element {tag}")
        found[tag] = child
        if len(child) and tag not in containers:
            _check_depth(child)
    return found


def _check_depth(unknown: etree._Element) -> None:
    """Refuse nesting that could be read in a report, but not inside a batch.

    libxml2 reads 2,048 levels. Only unknown elements can be deep: the reader checks the children
    of the known ones.
    """
    # Above it are at most Report, ReportHeader, Identification and Machine.
    depth, level = 4, [unknown]
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise _bad_structure(f"elements are nested more than {MAX_DEPTH} deep")
        level = [child for element in level for child in element]


def _only(children: _Children, tag: str) -> etree._Element:
    found = children.get(tag)
    if found is None:
        raise _bad_structure(f"the report has no element {tag}, or not in its place")
    return found


def _text(children: _Children, tag: str) -> str:
    found = children.get(tag)
    return "" if found is None else (found.text or "").strip()


def _content(element: etree._Element) -> str:
    if len(element):
        raise _bad_structure(f"{_name(element)} must hold text only")
    # The parser leaves each text in one piece, so lxml joins nothing here.
    return element.text or ""


def _name(element: etree._Element) -> str:
    return str(element.tag)[:80]


def _bad_structure(detail: str) -> Refused:
    return Refused(Reason.BAD_STRUCTURE, detail)
