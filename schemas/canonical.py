"""The fast path: reads reports by a grammar of the shape in which clients write them.

ConfigMgr's clients and ours always write a report in the same shape: elements and attributes in
one order, no comments. Other programs write attributes in another order, and comments between the
elements. In a text of that shape, regular expressions (`schemas/grammar.py`) find every value in
a small part of the time that it takes to parse XML and walk its tree.

**The law**: for every report found here, the full reader (`report_reader` and `smx`) reads the
same values. The fast path leaves all other texts to the full reader: None means "not of this
shape", and never "refused". So only the full reader holds the contract and its reasons, and a
check that is too strict here costs only time. Tests hold the two readers equal, and the fuzz run
does so on any number of mutated documents.

How the grammar keeps the law:

- **The expressions match without gaps.** Each part begins where the part before it has ended, from
  the first character to the last. A `</Report>` or `</SMX>` inside a text is a part of that text.
- **A text is read as it is written.** It has no `<`, no `>`, and no carriage return, which XML
  reads as a line feed. An attribute has no tab and no line feed either, which XML reads as spaces.
  A CDATA section has `]` at its end only. `&` occurs in parameters and details only, in the four
  references that every writer of XML uses.
- **No other markup**: no instruction, no DOCTYPE, no namespace, and comments between elements
  only. An attribute occurs once.
- **A number has one form and stays in its range**: no leading zeros, up to 18 digits for a serial.
- **A date exists**: the days of each month, leap years, and years that no offset moves out of
  1970 to 2200.
- **`_consistent` checks what an expression cannot**: that no serial is repeated, and that a claim
  covers the serials. If either check fails, the text goes to the full reader.
"""

import re
from typing import NamedTuple, TypeAlias

from schemas import cim_datetime, grammar, xml
from schemas.digest import ABSENT, FIELD, PARAM
from schemas.errors import Refused
from schemas.report import UNNUMBERED_TOPICS, Lane, lane_of
from schemas.smx import MAX_BATCH_BYTES, parse_batch
from schemas.smx_text import SmxText, smx_text

_Found: TypeAlias = "re.Match[str]"
_UNCOUNTED = frozenset(map(str, UNNUMBERED_TOPICS))


class Canonical(NamedTuple):
    """A report of the canonical shape, found in a text.

    Attributes:
        begin, end: where its root element begins and ends in the text.
        head: the match up to the first message.
        messages: one match for each message; one or more.
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
    def client_id(self) -> str:
        """The client's id, 36 characters in lower case."""
        return _guid(self.head["client"])

    @property
    def claim(self) -> tuple[str, str, str] | None:
        """As in `SmxText`."""
        request_id, first, last = self.head.group("request", "first", "last")
        return None if request_id is None else (_guid(request_id), first, last)

    @property
    def lane(self) -> Lane:
        """As in `Report`."""
        priority = self.head["priority"]
        return lane_of(None if priority is None else int(priority), self.claim)

    def smx_text(self, batch_id: str, envelope: _Found) -> SmxText:
        """The values of the report and of its envelope."""
        smx_id, received_at, forwarded_at, reply_to = envelope.groups()
        client_id, version, name, date = self.head.group("client", "version", "name", "date")
        return SmxText(
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
    """The report in a document of the canonical shape; None for any other document."""
    before = grammar.before_root(text)
    assert before is not None
    found = _report(text, before.end())
    return None if found is None or grammar.behind_root(text, found.end) is None else found


def read_batch(body: bytes) -> list[SmxText]:
    """Read a batch on the fast path as far as it can, and the rest with the full reader.

    Raises:
        Refused: as `parse_batch` does.
    """
    text = xml.text(body) if len(body) <= MAX_BATCH_BYTES else None
    found, rest = ([], "") if text is None else _begin(text)
    if not found:
        return _read_fully(body)
    if not rest:
        return found
    try:
        return found + _read_fully(rest.encode())
    except Refused:
        # Read the whole body again, so that the detail describes the batch as it was sent.
        return _read_fully(body)


def _read_fully(body: bytes) -> list[SmxText]:
    batch = parse_batch(body)
    return [smx_text(batch.batch_id, smx) for smx in batch.smx]


def _begin(text: str) -> tuple[list[SmxText], str]:
    """The leading canonical SMX, and a batch of the rest, empty when nothing is left."""
    batch = grammar.batch(text)
    if batch is None:
        return [], text
    found: list[SmxText] = []
    at = batch.end()
    while (envelope := grammar.smx(text, at)) is not None:
        report = _report(text, envelope.end())
        if report is None or not text.startswith(grammar.SMX_TAIL, report.end):
            break
        found.append(report.smx_text(batch[1], envelope))
        at = report.end + len(grammar.SMX_TAIL)
    rest = text[at:]
    return found, "" if rest == grammar.BATCH_TAIL else batch[0] + rest


def _report(text: str, begin: int) -> Canonical | None:
    head = grammar.head(text, begin) or grammar.any_head(text, begin)
    if head is None:
        return None
    messages = []
    at = head.end()
    while message := grammar.message(text, at) or grammar.any_message(text, at):
        messages.append(message)
        at = message.end()
    tail = grammar.tail(text, at)
    if not messages or tail is None:
        return None
    found = Canonical(text, begin, tail.end(), head, messages)
    return found if _consistent(found) else None


def _consistent(found: Canonical) -> bool:
    """Whether each serial occurs once, and a claim covers all of them."""
    serials = [
        serial
        for serial, topic_type in (m.group(grammar.SERIAL, grammar.TYPE) for m in found.messages)
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
    params = grammar.params(inside) if inside else ()
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
    # Last: an `&` written here must not be read as the beginning of another reference.
    return text.replace("&amp;", "&")
