"""Reports for Hypothesis: all that the contract allows, with special values often."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from schemas.report import MAX_PARAMS, PULL_DISTRIBUTION_POINT_TOPIC, Claim, Report, StateMessage
from schemas.serials import FIRST_SERIAL, LAST_SERIAL
from tests.support.documents import SAMPLE

#: Every character that XML 1.0 allows.
CHARACTERS = st.characters(
    min_codepoint=0x20,
    exclude_categories=["Cs"],
    exclude_characters="\ufffe\uffff",
    include_characters="\t\n\r",
)
#: Those that XML treats specially, and a few others.
_SPECIAL = "\t\n\r<>&\"']" + " aZ09\u00e9\U0001f512"
# Each text is one draw of Hypothesis; a mixture of alphabets would be several for each character.
TEXTS = (
    st.text(CHARACTERS, max_size=40)
    | st.text(_SPECIAL, max_size=40)
    | st.sampled_from(
        ["", " ", "]]>", "a]]", "<![CDATA[", "&amp;", "<!DOCTYPE a>", "\r\n", "\U0001f512" * 3]
    )
)
#: The reader strips space around a header text.
HEADER_TEXTS = TEXTS.map(str.strip)
INT4 = st.integers(-(2**31), 2**31 - 1)
STATE_IDS = st.integers(-(2**31), 2**32 - 1)
SERIALS = st.integers(FIRST_SERIAL, LAST_SERIAL)
MOMENTS = st.datetimes(
    datetime(1970, 1, 1),  # noqa: DTZ001 (Hypothesis adds the zone)
    datetime(2200, 12, 31, 23, 59, 59, 999999),  # noqa: DTZ001
    timezones=st.just(UTC),
)
OFFSETS = st.integers(-999, 999).map(lambda minutes: timedelta(minutes=minutes))


# Made once: Hypothesis spends more time on a strategy that is new in each example.
_TOPIC_TYPES = INT4.filter(lambda t: t != PULL_DISTRIBUTION_POINT_TOPIC)
_KINDS = st.sampled_from(["numbered", "numbered", "unnumbered", "otherwise"])
_MAYBE_TEXT = st.none() | TEXTS
_MAYBE_INT4 = st.none() | INT4
_PARAMS = st.lists(TEXTS, max_size=MAX_PARAMS)
_PRIORITIES = st.none() | st.integers(0, 10)


@st.composite
def messages(draw: st.DrawFn, serials: st.SearchStrategy[int] = SERIALS) -> StateMessage:
    """One state message: with a serial, without one, or of the type with its own numbering."""
    kind = draw(_KINDS)
    topic_type = draw(_TOPIC_TYPES)
    details = draw(_MAYBE_TEXT)
    return StateMessage(
        serial=draw(serials) if kind == "numbered" else None,
        serial_text=draw(_MAYBE_TEXT) if kind == "otherwise" else None,
        topic_type=PULL_DISTRIBUTION_POINT_TOPIC if kind == "otherwise" else topic_type,
        topic_id=draw(TEXTS),
        id_type=draw(_MAYBE_INT4),
        user_name=draw(TEXTS),
        user_sid=draw(TEXTS),
        state_id=draw(STATE_IDS),
        criticality=draw(INT4),
        message_time=draw(MOMENTS),
        params=tuple(draw(_PARAMS)),
        details=details,
        details_type=None if details is None else draw(_MAYBE_TEXT),
    )


@st.composite
def reports(draw: st.DrawFn) -> Report:
    """One report; half of them have a claim, which covers all its serials."""
    found = draw(
        st.lists(
            messages(),
            min_size=1,
            max_size=4,
            unique_by=lambda m: object() if m.serial is None else m.serial,
        )
    )
    numbers = [m.serial for m in found if m.serial is not None] or [draw(SERIALS)]
    claims = st.builds(
        Claim,
        st.uuids(),
        st.integers(FIRST_SERIAL, min(numbers)),
        st.integers(max(numbers), LAST_SERIAL),
    )
    return Report(
        client_id=draw(st.uuids()),
        client_name=draw(HEADER_TEXTS),
        client_version=draw(HEADER_TEXTS),
        date=draw(MOMENTS),
        messages=tuple(found),
        priority=draw(_PRIORITIES),
        claim=draw(st.none() | claims),
    )


#: Tokens of XML.
_TOKENS = st.sampled_from(
    (
        b"<!DOCTYPE a [<!ENTITY e 'x'>]>|&e;|<![CDATA[|]]>|<!--|-->|<?|?>|\x00|\xff\xfe"
        b"|\xed\xa0\x80|</Report>|<a>|\"|=|&#0;|xmlns:a=''|99999999999999999999|Resync|<Priority>1</Priority>"
        b"|xml:id='a'|<ReportBody>"
    ).split(b"|")
)


@st.composite
def damaged(draw: st.DrawFn, bodies: st.SearchStrategy[bytes]) -> bytes:
    """Bytes of a good document after flips, cuts, repetitions and splices."""
    body = draw(bodies | st.just(SAMPLE))
    for _ in range(draw(st.integers(1, 4))):
        first, last = sorted((draw(st.integers(0, len(body))), draw(st.integers(0, len(body)))))
        match draw(st.sampled_from(["flip", "cut", "twice", "token", "splice", "token16"])):
            case "flip":
                body = body[:first] + draw(st.binary(min_size=1, max_size=2)) + body[first + 1 :]
            case "cut":
                body = body[:first] + body[last:]
            case "twice":
                body = body[:last] + body[first:]
            case "token":
                body = body[:first] + draw(_TOKENS) + body[first:]
            case "token16":
                wide = draw(_TOKENS).decode("latin-1").encode("utf-16-le")
                body = body[: first // 2 * 2] + wide + body[first // 2 * 2 :]
            case _:
                body = body[:first] + draw(bodies)[first:]
    return body
