"""The shape in which clients write reports, as regular expressions that read like its grammar.

A report begins with a *head*, up to its first state message; then come *messages*, and a *tail*.
Each is an expression of its own, in two styles: real clients write attributes in one
order; other programs write them in any order, and comments between elements.
`schemas/canonical.py` reads by this grammar and says what the shape leaves out, and why.

Repetitions are possessive, so that the time grows no faster than the text.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from schemas.report import MAX_NAME_LENGTH, MAX_PARAMS
from schemas.smx import FORMAT

#: Characters that XML 1.0 forbids, and the carriage return.
_FOREIGN = r"\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff"
_BLANKS = r"[ \t\r\n]*+"
_COMMENT = rf"<!--[^\-{_FOREIGN}]*+(?:-[^\-{_FOREIGN}]++)*+-->"


class _Attribute(NamedTuple):
    """An attribute whose value is read, as a group of the match."""

    name: str
    group: str
    value: str
    required: bool = False


class _Style(NamedTuple):
    """How a program writes the shape.

    Attributes:
        start: makes the beginning of a tag, up to its last attribute.
        space: matches what may come between elements.
    """

    start: Callable[..., str]
    space: str

    def parent(self, name: str, *parts: str) -> str:
        """An element that holds elements."""
        return self.space.join((f"<{name}>", *parts, f"</{name}>"))


def _ordered(tag: str, *attributes: _Attribute) -> str:
    """The beginning of a tag as real clients write it, with its attributes in this order."""
    written = [_attribute(a.name, f"(?P<{a.group}>{a.value})") for a in attributes]
    each = [
        text if a.required else _optional(text) for a, text in zip(attributes, written, strict=True)
    ]
    return "".join((f"<{tag}", *each))


def _in_any_order(tag: str, *attributes: _Attribute) -> str:
    """The same with its attributes in any order: each at most once, and all required ones."""
    each = "|".join(f'(?({a.group})(?!)|{a.name}="(?P<{a.group}>{a.value})")' for a in attributes)
    there = "".join(f"(?({a.group})|(?!))" for a in attributes if a.required)
    return rf"<{tag}(?:[ \t\r\n]++(?:{each}))*+{there}"


_REAL = _Style(_ordered, _BLANKS)
_ANY = _Style(_in_any_order, f"{_BLANKS}(?:{_COMMENT}{_BLANKS})*+")


def _compiled(pattern: str) -> "re.Pattern[str]":
    """Compile, with conditions on later groups by name: Python allows those by number only."""
    condition = re.compile(r"\(\?\((\w+)\)")
    numbers = re.compile(condition.sub("(?:", pattern)).groupindex
    return re.compile(condition.sub(lambda found: f"(?({numbers[found[1]]})", pattern))


def _attribute(name: str, value: str) -> str:
    return f' {name}="{value}"'


def _unread(first: str, second: str) -> str:
    """Two optional attributes with numbers that are not read."""
    one, other = _attribute(first, _INT4), _attribute(second, _INT4)
    return f"(?:{other}{one}|{_optional(one)}{_optional(other)})"


def _element(name: str, value: str) -> str:
    return f"<{name}>{value}</{name}>"


def _optional(part: str) -> str:
    return f"(?:{part})?+"


# -- values -----------------------------------------------------------------------------------

_TEXT = rf"[^<&>{_FOREIGN}]*+"
#: A text whose markup characters are written as the four usual references.
_ESCAPED = rf"{_TEXT}(?:&(?:amp|lt|gt|quot);{_TEXT})*+"
_HEADER_TEXT = rf"[^<&>{_FOREIGN}]{{0,{MAX_NAME_LENGTH}}}+"
_CDATA = rf"<!\[CDATA\[(?P<cdata>[^\]{_FOREIGN}]*+)\]\]>"
_NAME = rf'[^<&"\t\n{_FOREIGN}]{{0,{MAX_NAME_LENGTH}}}+'

_TEN_DIGITS = (
    "(?:1[0-9]{9}|2(?:0[0-9]{8}|1(?:[0-3][0-9]{7}|4(?:[0-6][0-9]{6}|7(?:[0-3][0-9]{5}|"
    "4[0-7][0-9]{4})))))"
)
#: Nearly every int4: real senders do not use the last thousands before 2^31.
_INT4 = rf"(?:0|-?+(?:[1-9][0-9]{{0,8}}|{_TEN_DIGITS}))"
#: Some states are HRESULTs, which some senders write without a sign.
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
#: As Python writes a moment in UTC: it leaves out a fraction of zero.
_ISO = rf"{_date('-')}T{_time(':')}(?:\.(?!000000)[0-9]{{6}})?+\+00:00"

# -- a report ---------------------------------------------------------------------------------

_DECLARATION = (
    "<\\?xml version=(?:\"1\\.0\"|'1\\.0')"
    + _optional(" encoding=(?i:\"(?:utf-8|utf-16)\"|'(?:utf-8|utf-16)')")
    + r" ?+\?>"
)
_CLIENT_ID = f"<ClientID{_unread('IDType', 'IDFlag')}>(?P<client>{_GUID})</ClientID>"


def _head(style: _Style) -> str:
    machine = style.parent(
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
    claim = style.start(
        "Resync",
        _Attribute("RequestID", "request", _GUID, required=True),
        _Attribute("FirstSerial", "first", _SERIAL, required=True),
        _Attribute("LastSerial", "last", _SERIAL, required=True),
    )
    details = style.parent(
        "ReportDetails",
        _optional(_element("ReportContent", _TEXT)),
        _optional(_element("ReportType", _TEXT)),
        _element("Date", f"(?P<date>{_CIM})"),
        _optional(_element("Version", _TEXT)),
        _optional(_element("Format", _TEXT)),
        _optional(f"{claim} ?+/>"),
    )
    header = style.parent("ReportHeader", style.parent("Identification", machine), details)
    return style.space.join(("<Report>", header, "<ReportBody>"))


# -- a message --------------------------------------------------------------------------------

_PARAM = _element("Param", f"({_ESCAPED})")
#: Comments are not allowed here, since `params` finds the parameters by their tags.
_PARAMETERS = (
    f"<UserParameters{_unread('Flags', 'Count')}>{_BLANKS}(?P<parameters>"
    f"(?:{_element('Param', _ESCAPED)}{_BLANKS}){{0,{MAX_PARAMS}}}+"
    ")</UserParameters>"
)
_DETAILS = (
    "<StateDetails"
    + _optional(_attribute("Type", f"(?P<details_type>{_NAME})"))
    + f">(?:{_CDATA}|(?P<escaped>{_ESCAPED}))</StateDetails>"
)


def _message(style: _Style) -> str:
    message = style.start(
        "StateMessage",
        _Attribute("MessageTime", "time", _CIM, required=True),
        _Attribute("SerialNumber", "serial", _SERIAL),
    )
    topic = style.start(
        "Topic",
        _Attribute("ID", "topic_id", _NAME, required=True),
        _Attribute("Type", "type", _INT4, required=True),
        _Attribute("IDType", "id_type", _INT4),
        _Attribute("User", "user", _NAME),
        _Attribute("UserSID", "user_sid", _NAME),
    )
    state = style.start(
        "State",
        _Attribute("ID", "state_id", _STATE_ID, required=True),
        _Attribute("Criticality", "criticality", _INT4),
    )
    return style.space.join(
        (
            "",
            f"{message} ?+>",
            f"{topic} ?+/>",
            f"{state} ?+/>",
            _optional(_PARAMETERS),
            _optional(_DETAILS),
            "</StateMessage>",
        )
    )


# -- a batch ----------------------------------------------------------------------------------

_BATCH = (
    "<Batch"
    + _attribute("ID", f"({_UUID})")
    + _attribute("Relay", f"({_NAME})")
    + _optional(_attribute("Format", str(FORMAT)))
    + ">"
)
_SMX = (
    "<SMX"
    + _attribute("ID", f"({_UUID})")
    + _attribute("ReceivedAt", f"({_ISO})")
    + _optional(_attribute("ForwardedAt", f"({_ISO})"))
    + _optional(_attribute("MessageID", _NAME))
    + _optional(_attribute("ReplyTo", f"({_NAME})"))
    + ">"
)

# -- the compiled expressions -----------------------------------------------------------------

before_root = re.compile(f"(?:{_DECLARATION})?+{_BLANKS}").match
behind_root = re.compile(rf"{_BLANKS}\0?+{_BLANKS}").fullmatch
#: Groups: client, version, name, priority, date; for a claim also request, first, last.
head, any_head = (_compiled(_head(style)).match for style in (_REAL, _ANY))
_messages = [_compiled(_message(style)) for style in (_REAL, _ANY)]
#: Groups: the values of a message, in the order of its elements and their attributes.
message, any_message = (pattern.match for pattern in _messages)
#: The numbers of two of these groups: access by number takes half the time.
SERIAL, TYPE = map(_messages[0].groupindex.__getitem__, ("serial", "type"))
tail = re.compile(_ANY.space.join(("", "</ReportBody>", "</Report>"))).match
#: Finds the texts in the group "parameters"; they hold no tags.
params = re.compile(_PARAM).findall
batch = re.compile(_BATCH).match
smx = re.compile(_SMX).match
SMX_TAIL, BATCH_TAIL = "</SMX>", "</Batch>"
