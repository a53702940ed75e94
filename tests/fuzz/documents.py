"""Good documents, each made with a random generator; the fuzzer mutates them afterwards."""

import re
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

from producers.scenarios import recorded
from schemas.report import MAX_PARAMS, PULL_DISTRIBUTION_POINT_TOPIC, Claim, Report, StateMessage
from schemas.report_writer import render_report, report_xml
from schemas.resync import ResyncReason, ResyncRequest, render_request
from schemas.serials import LAST_SERIAL, SerialRange
from schemas.smx import Envelope, render_batch, render_smx
from tests.support.documents import MALFORMED, SAMPLE
from tests.support.documents import report as report_text

#: Inputs that share one set of clients, so that a client's reports meet in the database.
NEIGHBOURS = 500
_CLIENTS = 40
_START = datetime(2026, 3, 1, tzinfo=UTC)
_TEXTS = (
    *("", " ", "a", "update-1", "{E1A6E5D2-6D10-4F43-8B0F-6B2A2C9A7B55}", "S-1-5-21-1-2-3-1001"),
    *(r"EXAMPLE\user", "\\", "\\N", "\\.", "\\x", "\\0", "{}", '"', '",', "NULL", "\t", "\n", "\r"),
    *("\r\n", "]]>", "<a>", "&amp;", "\x7f", "\x85", "\u2028", "Zoë", "\U0001f512", "\ufffd"),
    *("\ud7ff", "\ue000", "\U0010ffff", "e\u0301", "\u202e", "<![CDATA[", "'", "%s", "x" * 512),
)
_NUMBERS = (0, 1, 2, 3, 300, 500, 700, 701, 902, -1, 2**31 - 1, -(2**31))
_STATE_IDS = (*_NUMBERS, 2**31, 0x80070005, 2**32 - 1)
#: A tag as our clients write it: no attribute has a `<` or a `>`.
_TAG = re.compile(r"<\w+(?: \w+=(?:\"[^\"<>]*\"|'[^'<>]*'))+ ?/?>")
_ATTRIBUTE = re.compile(r" \w+=(?:\"[^\"]*\"|'[^']*')")
_BORDER = re.compile(
    r">(<(?:/?(?:StateMessage|Report\w*)|Topic|State|UserParameters|StateDetails)\b)"
)
_SERIALS = (1, 2, 3, 1431, 2**31, 2**53, LAST_SERIAL - 1, LAST_SERIAL)


def text(rng: Random) -> str:
    """One text of `_TEXTS`, which some program may treat specially, or up to three joined."""
    if rng.random() < 0.3:
        return "".join(rng.choice(_TEXTS) for _ in range(rng.randrange(4)))[:512]
    return rng.choice(_TEXTS)


def moment(rng: Random) -> datetime:
    """Mostly a moment of one day; sometimes one at the ends of the allowed range."""
    if rng.random() < 0.1:
        return rng.choice(
            (
                datetime(1970, 1, 1, tzinfo=UTC),
                datetime(2200, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
                datetime(2024, 2, 29, tzinfo=UTC),
            )
        )
    return _START + timedelta(microseconds=rng.randrange(86_400_000_000))


def serial(rng: Random) -> int:
    """Mostly a small serial, so that reports share serials; sometimes one at the ends."""
    return rng.choice(_SERIALS) if rng.random() < 0.05 else rng.randrange(1, 200)


def message(rng: Random, number: int | None) -> StateMessage:
    """One state message.

    Args:
        number: its serial; None for a message without one.
    """
    topic_type = rng.choice(_NUMBERS)
    counts = topic_type != PULL_DISTRIBUTION_POINT_TOPIC
    details = text(rng) * rng.choice((1, 1, 1, 40)) if rng.random() < 0.4 else None
    return StateMessage(
        serial=number if counts else None,
        serial_text=None if counts or number is None else str(number),
        topic_type=topic_type,
        topic_id=text(rng),
        id_type=rng.choice((None, *_NUMBERS)),
        user_name=text(rng),
        user_sid=text(rng),
        state_id=rng.choice(_STATE_IDS),
        criticality=rng.choice(_NUMBERS),
        message_time=moment(rng),
        params=tuple(text(rng) for _ in range(rng.randrange(MAX_PARAMS + 1))),
        details=details,
        details_type=None if details is None else rng.choice((None, "1", "")),
    )


def report(rng: Random, number: int) -> Report:
    """One report of one of the clients that input `number` and its neighbours share."""
    serials = sorted({serial(rng) for _ in range(rng.choice((1, 1, 2, 3, 8)))})
    claim = None
    if rng.random() < 0.1:
        low, high = rng.choice(((0, 0), (1, 5))), rng.choice((0, 3, LAST_SERIAL))
        claim = Claim(
            UUID(int=rng.randrange(20)),
            max(1, serials[0] - low[rng.randrange(2)]),
            min(LAST_SERIAL, serials[-1] + high),
        )
    return Report(
        client_id=UUID(int=(number // NEIGHBOURS << 64) + rng.randrange(_CLIENTS)),
        client_name=text(rng).strip(),
        client_version=text(rng).strip(),
        date=moment(rng),
        messages=tuple(message(rng, s if rng.random() < 0.9 else None) for s in serials),
        priority=rng.choice((None, 0, 1, 5, 10)),
        claim=claim,
    )


def plain_report(rng: Random, number: int) -> Report:
    """A synthetic client's report, with serials that reports of neighbours have too."""
    told = recorded(number, rng.randrange(_CLIENTS), rng.randrange(50), 2.5, moment(rng))
    odd = report(rng, number)
    if not told:
        return odd
    first = rng.randrange(1, 200)
    return odd._replace(
        client_name="PC1",
        client_version="5.00",
        messages=tuple(m._replace(serial=first + at) for at, m in enumerate(told)),
        claim=odd.claim and Claim(odd.claim.request_id, 1, first + 500),
    )


def good_report(rng: Random, number: int) -> str:
    """The text of a report: a real one, one as our clients write it, or another form."""
    at = rng.random()
    if at < 0.06:
        return (SAMPLE if at < 0.05 else MALFORMED).decode("utf-16")
    if at < 0.1:
        return report_text()
    if at < 0.3:
        return render_report(plain_report(rng, number)).decode("utf-16")
    if at < 0.45:
        return in_another_style(report_xml(plain_report(rng, number)), rng)
    if at < 0.7:
        return render_report(report(rng, number)).decode("utf-16")
    return report_xml(report(rng, number))


def in_another_style(document: str, rng: Random) -> str:
    """The same report with its attributes in another order, and comments between its elements."""

    def shuffled(tag: re.Match[str]) -> str:
        attributes = _ATTRIBUTE.findall(tag[0])
        name, end = tag[0][1 : tag[0].index(" ")], "/>" if tag[0].endswith("/>") else ">"
        rng.shuffle(attributes)
        return f"<{name}{''.join(attributes)}{end}"

    def commented(border: re.Match[str]) -> str:
        comment = rng.choice(("", "", "\n", "<!---->", "<!-- <State/> -->", "\t<!-- - -->\n"))
        return f">{comment}{border[1]}"

    return _BORDER.sub(commented, _TAG.sub(shuffled, document))


def good_batch(rng: Random, number: int) -> str:
    """The text of a batch of one to three reports."""
    smx = [
        render_smx(
            Envelope(
                UUID(int=rng.getrandbits(128)),
                moment(rng),
                rng.choice((None, moment(rng))),
                rng.choice((None, "m", "1<2")),
                rng.choice((None, "statesys.resync.0a1b2c3d")),
            ),
            rng.choice((report, plain_report, plain_report))(rng, number),
        )
        for _ in range(rng.randrange(1, 4))
    ]
    return render_batch(UUID(int=rng.getrandbits(128)), "relay/1", smx).decode()


def good_request(rng: Random, _number: int) -> str:
    """The text of a resync request."""
    ranges = []
    for _ in range(rng.randrange(4)):
        first, last = sorted((serial(rng), serial(rng)))
        ranges.append(SerialRange(first, last))
    return render_request(
        ResyncRequest(
            UUID(int=rng.getrandbits(128)),
            UUID(int=rng.getrandbits(128)),
            rng.choice(list(ResyncReason)),
            rng.choice((0, *_SERIALS)),
            moment(rng),
            tuple(ranges),
            rng.random() < 0.2,
        )
    ).decode("ascii")
