"""The fast path: which reports it reads, and that the full reader reads the same."""

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.hostile.client_faults import CLIENT_FAULTS, Cycle
from producers.scenarios import recorded
from schemas import canonical
from schemas.errors import Refused
from schemas.report import Claim, Report, StateMessage
from schemas.report_writer import render_report, report_xml
from schemas.smx import (
    FORMAT,
    MAX_BATCH_BYTES,
    Batch,
    Envelope,
    parse_batch,
    render_batch,
    render_smx,
)
from tests.support.documents import (
    CLIENT_ID,
    GUID,
    MALFORMED,
    SAMPLE,
    STATE,
    TIME,
    TOPIC,
    claim,
    message,
    report,
)
from tests.support.report_strategies import damaged, reports
from tests.support.two_ways import batch_both_ways, fast_path, report_both_ways
from tests.unit.schemas.test_refusals import REFUSED
from tests.unit.schemas.test_xsd import ACCEPTED

NOW = datetime(2026, 3, 2, 8, 15, tzinfo=UTC)
TEXT = SAMPLE.decode("utf-16")
#: A report with everything that a client can say.
FULL = report(
    message(
        '<Topic ID="a" Type="302" IDType="3" User="E\\u" UserSID="S-1"/>'
        '<State ID="2" Criticality="1"/>'
        '<UserParameters Flags="0" Count="2"><Param>p</Param><Param>q</Param></UserParameters>'
        '<StateDetails Type="1"><![CDATA[c]]></StateDetails>'
    )
    + message(f"{TOPIC}{STATE}<StateDetails>d</StateDetails>", serial="1432"),
    machine="<ClientInstalled>1</ClientInstalled><ClientType>1</ClientType>"
    + CLIENT_ID
    + "<ClientVersion>5</ClientVersion><NetBIOSName>n</NetBIOSName><CodePage>437</CodePage>"
    "<SystemDefaultLCID>1033</SystemDefaultLCID><Priority>5</Priority>",
    date="<ReportContent>State Message Data</ReportContent><ReportType>Full</ReportType>"
    f"<Date>{TIME}</Date><Version>1.0</Version><Format>1.0</Format>",
    details=claim("1", "1432"),
)
#: Where a sender may write any text: its place in that report, and a format for another text.
FIELDS = {
    "topic id": ('ID="a"', 'ID="{}"'),
    "user": ('User="E\\u"', 'User="{}"'),
    "SID": ('UserSID="S-1"', 'UserSID="{}"'),
    "type of the details": ('Details Type="1"', 'Details Type="{}"'),
    "client name": (">n<", ">{}<"),
    "client version": (">5</ClientVersion", ">{}</ClientVersion"),
    "parameter": (">p<", ">{}<"),
    "CDATA": ("CDATA[c]", "CDATA[{}]"),
    "details": (">d<", ">{}<"),
    "ClientInstalled": ("<ClientInstalled>1<", "<ClientInstalled>{}<"),
    "ClientType": ("<ClientType>1<", "<ClientType>{}<"),
    "CodePage": (">437<", ">{}<"),
    "SystemDefaultLCID": (">1033<", ">{}<"),
    "ReportContent": (">State Message Data<", ">{}<"),
    "ReportType": (">Full<", ">{}<"),
    "Version": ("<Version>1.0<", "<Version>{}<"),
    "Format": ("<Format>1.0<", "<Format>{}<"),
}
NAMES = tuple(FIELDS)[:6]


def both_ways(text: str) -> Report:
    return report_both_ways(text.encode())


def written(field: str, text: str) -> str:
    """The report with another text in a field."""
    old, place = FIELDS[field]
    return changed(old, place.replace("{}", text))


def changed(old: str, new: str, text: str = FULL) -> str:
    assert old in text
    return text.replace(old, new, 1)


# -- which path -----------------------------------------------------------------------------------


def takes_the_fast_path(body: bytes) -> bool:
    with suppress(Refused):
        report_both_ways(body)
    return fast_path(body) is not None


def rendered(*messages: StateMessage, claims: bool = False) -> bytes:
    numbered = tuple(m._replace(serial=n) for n, m in enumerate(messages, 1))
    found = Claim(UUID(int=5), 1, len(messages)) if claims else None
    return render_report(Report(UUID(int=7), "PC1", "5.00", NOW, numbered, 5, found))


def test_the_report_of_a_real_client_takes_the_fast_path() -> None:
    assert takes_the_fast_path(SAMPLE)
    assert not takes_the_fast_path(MALFORMED)


def goes_as_expected(body: bytes) -> bool:
    """The fast path reads it, unless an attribute has an escaped character."""
    escaped = re.search(r'="[^"<>]*&[^"<>]*"', body.decode("utf-16"))
    return takes_the_fast_path(body) == (escaped is None)


def test_what_happens_to_a_synthetic_client_takes_the_fast_path_unless_a_name_is_escaped() -> None:
    told = [m for client in range(40) for c in range(20) for m in recorded(1, client, c, 4, NOW)]
    assert all(goes_as_expected(rendered(*told[at : at + 4])) for at in range(0, len(told), 4))
    assert all(goes_as_expected(rendered(m, claims=True)) for m in told[:100])
    assert sum(takes_the_fast_path(rendered(m)) for m in told) > 0.99 * len(told)


@pytest.mark.parametrize("client_fault", CLIENT_FAULTS)
def test_hostile_habits_take_the_fast_path_unless_a_name_is_escaped(client_fault: str) -> None:
    cycle = CLIENT_FAULTS[client_fault](Cycle(1, 3, 5, 4, NOW, (recorded(1, 3, 5, 4, NOW),)), 1)
    assert all(goes_as_expected(rendered(*wave)) for wave in cycle.waves)


SHORT = {
    "everything": FULL,
    "the least": report(),
    "a heartbeat": report(message('<Topic ID="heartbeat" Type="701"/><State ID="1"/>')),
    "type 902": report(message(changed("500", "902", TOPIC) + STATE) * 2),
    "without a serial": report(message(serial=None) * 2),
    "empty texts": report(
        message(
            '<Topic ID="" Type="0" User="" UserSID=""/><State ID="0"/>'
            '<UserParameters></UserParameters><StateDetails Type=""></StateDetails>'
        ),
        machine=f"{CLIENT_ID}<ClientVersion></ClientVersion><NetBIOSName> </NetBIOSName>",
    ),
    "letters of many scripts": written("CDATA", "Zoë 🔒 \t\n <a>&amp;</a> \ud7ff\ufffd\x7f\x85"),
    "escaped details": written("details", "&amp;lt;&lt;&gt;&quot;&amp;amp;amp;"),
    "escaped parameters": written("parameter", "&amp;lt;&lt;&gt;&quot;&amp;amp;amp;"),
    "five parameters": report(
        message(f"{TOPIC}{STATE}<UserParameters>{'<Param></Param>' * 5}</UserParameters>")
    ),
    "the largest numbers": report(
        message('<Topic ID="a" Type="-1999999999"/><State ID="1999999999"/>', serial="9" * 18)
    ),
    "HRESULTs": report(
        "".join(
            message(f'{TOPIC}<State ID="{n}"/>', serial=None)
            for n in (2147942405, 3221225477, -2016411012, -2147467259, -2147024891, 1999999999)
        )
    ),
    "pretty print": re.sub(r"(?<!])><(?!!)", ">\r\n\t <", FULL),
    "a NUL behind": f"{FULL}\r\n\0\n",
    "a space before the end of a tag": FULL.replace('"/>', '" />'),
    "a declaration": f'<?xml version="1.0" encoding="utf-8"?>\r\n{FULL}\n\n ',
    "a bare declaration": f'<?xml version="1.0"?>{FULL}',
    "another order of attributes": changed(
        FULL[FULL.index('<Topic ID="a"') :].split("/>")[0],
        '<Topic UserSID="S-1" User="E\\u" IDType="3" Type="302" ID="a"',
        changed('ID="2" Criticality="1"', 'Criticality="1" ID="2"').replace(
            'Flags="0" Count="2"', 'Count="2" Flags="0"'
        ),
    ),
    "another order in the header": changed(
        'RequestID="', 'LastSerial="1432" RequestID="', changed(' LastSerial="1432"', "")
    ),
    "another order of a message": re.sub(
        r'(MessageTime="[^"]*") (SerialNumber="[^"]*")', r"\2 \1", FULL
    ),
    "lines between attributes": changed('Type="302" IDType="3"', 'Type="302"\n\t IDType="3"'),
    "a comment": changed("<State ", "<!-- a - > b </State> --><State "),
    "comments everywhere": re.sub(r"(?<=[^\]<]>)(?=<[^!])(?![^<]*</?Param)", "<!---->", report()),
    "single quotes in a declaration": f"<?xml version='1.0' encoding='UTF-8'?>\n{FULL}",
    "a bare client id": changed("GUID:", ""),
    "a space in the client id": changed("GUID:", "GUID: "),
    "attributes of the client id": changed("<ClientID>", '<ClientID IDType="0" IDFlag="1">'),
    "spaces around a version": written("client version", " 5\t"),
    "spaces around a name": written("client name", " n\u3000"),
    "the longest names": written("topic id", "🔒" * 512),
}


@pytest.mark.parametrize("text", SHORT.values(), ids=SHORT)
def test_it_takes_the_fast_path(text: str) -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le"):
        assert takes_the_fast_path(text.encode(encoding))


@pytest.mark.parametrize("priority", ["0", "1", "5", "7", "10", "010", "999999999"])
def test_priority_chooses_the_same_lane(priority: str) -> None:
    for text in (FULL, FULL.replace(claim("1", "1432"), "")):
        assert takes_the_fast_path(changed(">5</Priority", f">{priority}</Priority", text).encode())


DAYS = (
    *("0131", "0228", "0229", "0329", "0430", "0531", "0630", "0731", "0831", "0930", "1031"),
    *("1130", "1231", "0129", "0130", "1229", "1230"),
)


@pytest.mark.parametrize("offset", ["+000", "-000", "+060", "-060", "+330", "-999", "+999"])
@pytest.mark.parametrize("day", DAYS)
def test_every_day_with_every_offset_takes_the_fast_path(day: str, offset: str) -> None:
    for year in ("1972", "2000", "2024", "2196"):
        when = f"{year}{day}235959.999999{offset}"
        assert takes_the_fast_path(report(message(time=when)).encode())
        assert takes_the_fast_path(report(date=f"<Date>{when}</Date>").encode())


def test_a_day_is_read_where_the_calendar_has_it() -> None:
    for year in ("1970", "1971", "1999", "2000", "2001", "2023", "2024", "2100", "2199", "2200"):
        for month in range(14):
            for day in range(33):
                when = f"{year}{month:02}{day:02}000000.000000+000"
                with suppress(Refused):
                    both_ways(report(message(time=when)))


# -- what only the full reader may read -----------------------------------------------------------

LONG = {
    "two hyphens in a comment": changed("<State ", "<!-- -- --><State "),
    "a hyphen at the end of a comment": changed("<State ", "<!-- ---><State "),
    "a comment that does not end": changed("<State ", "<!-- -><State "),
    "a NUL in a comment": changed("<State ", "<!--\0--><State "),
    "a comment among parameters": changed("<Param>q", "<!-- <Param>r</Param> --><Param>q"),
    "a comment in a tag": changed('ID="2"', '<!-- --> ID="2"'),
    "a comment before the declaration": f'<!-- --><?xml version="1.0"?>{FULL}',
    "an attribute twice": changed('ID="a"', 'ID="a" ID="a"'),
    "an attribute twice, in another order": changed(
        'ID="a" Type="302"', 'Type="302" ID="a" Type="302"'
    ),
    "an attribute twice, at the end": changed('UserSID="S-1"', 'UserSID="S-1" ID="b"'),
    "a state id twice": changed('ID="2" Criticality="1"', 'Criticality="1" ID="2" ID="2"'),
    "a time twice": changed("<StateMessage ", f'<StateMessage MessageTime="{TIME}" '),
    "a count twice": changed('Count="2"', 'Count="2" Count="2"'),
    "a claim with an attribute twice": changed("<Resync ", '<Resync LastSerial="1432" '),
    "no space between attributes": changed('ID="a" Type="302"', 'Type="302"ID="a"'),
    "no topic id": changed('ID="a" Type="302"', 'Type="302"'),
    "no type": changed('ID="a" Type="302" IDType="3"', 'IDType="3" ID="a"'),
    "no state id": changed('ID="2" Criticality="1"', 'Criticality="1"'),
    "a claim without its first": changed(' FirstSerial="1"', ""),
    "half a claim": changed('RequestID="', 'RequestI="'),
    "other quotes of an encoding": f"<?xml version='1.0' encoding='UTF-8\"?>{FULL}",
    "other quotes in a declaration": f"<?xml version='1.0\"?>{FULL}",
    "an instruction": changed("<State ", "<?a?><State "),
    "a comment in a text": changed(">d<", ">d<!-- e --><"),
    "a DOCTYPE": "<!DOCTYPE Report>" + FULL,
    "a comment behind": FULL + "<!-- </Report> -->",
    "another document behind": FULL + FULL,
    "a letter behind": FULL + "x",
    "two NULs behind": FULL + "\0\0",
    "a NUL before": "\0" + FULL,
    "another declaration": '<?xml version="1.0" encoding="UTF-7"?>' + FULL,
    "XML 1.1": '<?xml version="1.1"?>' + FULL,
    "white space before a declaration": ' <?xml version="1.0"?>' + FULL,
    "a mark within": "\ufeff\ufeff" + FULL,
    "a letter between elements": changed("<State ", "x<State "),
    "a NUL between elements": changed("<State ", "\0<State "),
    "another space between elements": changed("<State ", "\x85<State "),
    "space around a client id": changed("GUID:", " GUID:"),
    "another attribute": changed('ID="2"', 'ID="2" More=""'),
    "single quotes": changed('ID="a"', "ID='a'"),
    "another element": changed("</StateMessage>", "<More/></StateMessage>"),
    "an element in a text": changed(">d<", "><b/><"),
    "an entity nobody declared": written("details", "&lol;"),
    "a reference to a number": written("details", "&#13;"),
    "half a reference": written("parameter", "&amp"),
    "an escaped name": written("topic id", "&amp;"),
    "an escaped text of the header": written("client name", "&amp;"),
    "an entity in an attribute": changed('ID="a"', 'ID="&#9;"'),
    "two CDATA sections": changed("]]>", "]]><![CDATA[x]]>"),
    "a bracket in CDATA": changed("CDATA[c]", "CDATA[]c]"),
    "a tab in an attribute": changed('ID="a"', 'ID="\t"'),
    "a line feed in an attribute": changed('ID="a"', 'ID="\n"'),
    "a carriage return in an attribute": changed('ID="a"', 'ID="\r"'),
    "a carriage return in CDATA": changed("CDATA[c]", "CDATA[\r\n]"),
    "a carriage return in a text": changed(">d<", ">\r<"),
    "a carriage return in a name": changed(">n<", ">a\rb<"),
    "a smaller-than in an attribute": changed('ID="a"', 'ID="<"'),
    "the end of CDATA in a text": changed(">d<", ">]]><"),
    "a serial with a zero": changed('"1431"', '"01431"'),
    "serial 0": changed('"1431"', '"0"'),
    "a serial of another script": changed('"1431"', '"143\u0661"'),
    "a serial above all": changed('"1431"', f'"{2**63 - 1}"'),
    "a serial twice": changed('"1432"', '"1431"'),
    "a serial twice, another state": report(message() + message(f'{TOPIC}<State ID="7"/>')),
    "a claim above its serials": report(details=claim("1432", "1500")),
    "a claim below its serials": report(details=claim("1", "1430")),
    "a claim from back to front": report(message(serial=None), details=claim("9", "8")),
    "the number of type 902 as a text": report(
        message(changed("500", "902", TOPIC) + STATE, serial="a")
    ),
    "type 902 with a zero": report(message(changed("500", "0902", TOPIC) + STATE)),
    "a number with a plus": changed('State ID="2"', 'State ID="+2"'),
    "a state id too large": changed('State ID="2"', 'State ID="4294967296"'),
    "a state id too small": changed('State ID="2"', 'State ID="-2147483649"'),
    "a type too small": changed('Type="302"', 'Type="-2147483649"'),
    "a type too large": changed('Type="302"', 'Type="2147483648"'),
    "an id type too large": changed('IDType="3"', 'IDType="2147483648"'),
    "a criticality too large": changed('Criticality="1"', 'Criticality="2147483648"'),
    "a number with zeros": changed('State ID="2"', 'State ID="002"'),
    "a number of eleven digits": changed('State ID="2"', 'State ID="11111111111"'),
    "an unknown element": changed("<State ", "<More/><State "),
    "a number with space": changed('State ID="2"', 'State ID=" 2"'),
    "a number of another script": changed('State ID="2"', 'State ID="1\u0662"'),
    "minus zero": changed('State ID="2"', 'State ID="-0"'),
    "an empty number": changed('State ID="2"', 'State ID=""'),
    "six parameters": report(
        message(f"{TOPIC}{STATE}<UserParameters>{'<Param></Param>' * 6}</UserParameters>")
    ),
    "a priority that is no number": changed(">5</Priority", ">high</Priority"),
    "a priority above all": changed(">5</Priority", f">{'1' * 12}</Priority"),
    "a client id that is none": changed("GUID:", "GUID:GUID:"),
    "half a brace": changed("GUID:", "{"),
    "a client id without a hyphen": report(
        machine=f"<ClientID>{GUID.replace('-', '', 1)}</ClientID>"
    ),
    "a prefix of another case": changed("GUID:", "guid:"),
    "no client id": changed(CLIENT_ID, ""),
    "no message": report(""),
    "no time": report(message(time=None)),
    "no date": report(date=""),
    "space around a date": report(date=f"<Date> {TIME} </Date>"),
    "the year 1970": report(message(time="19700101000000.000000+001")),
    "the year 2200": report(message(time="22001231235959.999999-001")),
    "the 30th of February": report(message(time="20240230000000.000000+000")),
    "the 31st of April": report(message(time="20240431000000.000000+000")),
    "month 13": report(message(time="20241301000000.000000+000")),
    "day 0": report(message(time="20241200000000.000000+000")),
    "an offset of two digits": report(message(time="20241201000000.000000+00")),
    "an offset without a sign": report(message(time="20241201000000.000000 000")),
    "a short fraction": report(message(time="20241201000000.0+000")),
    "hour 24": report(message(time="20241201240000.000000+000")),
    "minute 60": report(message(time="20241201006000.000000+000")),
    "second 60": report(message(time="20241201000060.000000+000")),
    "no leap year": report(message(time="21000229000000.000000+000")),
    "the root in a namespace": changed("<Report>", '<Report xmlns="u">'),
}
LONG |= {f"a long {field}": written(field, "x" * 513) for field in NAMES}
LONG |= {
    f"U+{ord(letter):04X} as {field}": written(field, letter)
    for field in FIELDS
    for letter in "\0\x08\x0b\x0c\x0e\x1f\ufffe\uffff\r&<"
    if field != "CDATA" or letter not in "&<"
}
LONG |= {
    f"U+{ord(letter):04X} as {field}": written(field, letter)
    for letter in '\t\n"'
    for field in ("topic id", "user", "SID", "type of the details")
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_it_needs_the_full_reader(text: str) -> None:
    for encoding in ("utf-8", "utf-16"):
        assert not takes_the_fast_path(text.encode(encoding))


# -- forged borders -------------------------------------------------------------------------------

OTHER = report_xml(
    Report(UUID(int=9), "", "", NOW, (StateMessage(1, None, 1, "z", None, "", "", 1, 0, NOW),))
)
FORGED = f"</ReportBody></Report></SMX><SMX>{OTHER}</SMX>"
BORDERS = (
    *(
        "&amp;lt;",
        "&lt;/SMX&gt;",
        "&amp",
        "</SMX>",
        "</Report>",
        "</ReportBody></Report>",
        "]]>",
        "]]",
        "-->",
        "?>",
        "</Batch>",
        '"/>',
    ),
    *("</StateDetails></StateMessage>", "</StateDetails>", "</Param>", "<!--", "<?a", "<![CDATA["),
    *(OTHER, FORGED, f"]]></StateDetails></StateMessage>{FORGED}", f"<![CDATA[{FORGED}]]>"),
    *(f"<!--{FORGED}-->", f"<?a {FORGED}?>", f"<!--{OTHER}", "</Report>\0", "</Report> "),
)


def in_a_batch(*smx: bytes) -> bytes:
    return render_batch(UUID(int=1), "relay/1", smx)


def smx(text: str, number: int = 1, **envelope: str) -> bytes:
    return render_smx(Envelope(UUID(int=number), NOW, **envelope), text.encode())  # type: ignore[arg-type]


@pytest.mark.parametrize("text", [FULL, report(message(f"{TOPIC}{STATE}<x:a xmlns:x='u'/>"))])
def test_the_envelope_is_read_whole_on_either_path(text: str) -> None:
    sent, reply_to = NOW - timedelta(hours=1), "statesys.resync.0a1b2c3d"
    envelope = Envelope(UUID(int=3), NOW, forwarded_at=sent, message_id="m", reply_to=reply_to)
    (read,) = canonical.read_batch(in_a_batch(render_smx(envelope, text.encode())))
    ids = (str(UUID(int=1)), str(UUID(int=3)))
    assert read[:5] == (*ids, NOW.isoformat(), sent.isoformat(), reply_to)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("field", FIELDS)
def test_a_border_in_a_text_is_a_part_of_the_text(field: str, border: str) -> None:
    text = written(field, border)
    with suppress(Refused):
        both_ways(text)
    with suppress(Refused):
        batch_both_ways(in_a_batch(smx(FULL), smx(text, 2), smx(OTHER, 3)))


@pytest.mark.parametrize("border", BORDERS)
def test_a_border_behind_the_root_forges_nothing(border: str) -> None:
    for text in (FULL + border, f"{FULL}<!--{border}-->", f"{FULL}<?a {border}?>", border + FULL):
        with suppress(Refused):
            both_ways(text)
        with suppress(Refused):
            batch_both_ways(in_a_batch(smx(FULL), smx(text, 2), smx(OTHER, 3)))


# -- batches --------------------------------------------------------------------------------------


def test_what_has_another_shape_is_read_from_there_by_the_full_reader() -> None:
    plain, odd = smx(FULL), smx(changed("<State ", "<?a?><State "), 2)
    for order in ((plain, odd), (odd, plain), (plain, odd, plain), (odd,), (plain,)):
        assert len(batch_both_ways(in_a_batch(*order)).smx) == len(order)


@pytest.mark.parametrize("odd_ones", [0, 1, 3])
def test_the_full_reader_gets_what_the_fast_path_leaves_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, odd_ones: int
) -> None:
    left: list[int] = []

    def parse(body: bytes) -> Batch:
        found = parse_batch(body)
        left.append(len(found.smx))
        return found

    monkeypatch.setattr(canonical, "parse_batch", parse)
    odd = smx(changed("<State ", "<?a?><State "), 2)
    body = in_a_batch(smx(FULL), smx(OTHER, 3, message_id="m"), *[odd] * odd_ones)
    assert len(canonical.read_batch(body)) == 2 + odd_ones
    assert left == ([odd_ones] if odd_ones else [])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("</Batch>", "</Batch>\n"),
        ("</Batch>", ""),
        ("</Batch>", "<!-- --></Batch>"),
        ("</Batch>", "</Batch><SMX/>"),
        ("</SMX></Batch>", "</Batch>"),
        ("</SMX></Batch>", "</SMX>x</Batch>"),
        ("</Report></SMX>", "</Report> </SMX>"),
        ("</Report></SMX>", "</Report><More/></SMX>"),
        ("</SMX><SMX ", "</SMX> <SMX "),
        ("<Batch ", "<!DOCTYPE a><Batch "),
        ("<Batch ", "<?xml version='1.0'?><Batch "),
        ("<Batch ", "\ufeff<Batch "),
        ('Relay="relay/1"', 'Relay="a&amp;b"'),
        ('Relay="relay/1"', 'Relay="\t"'),
        ('Relay="relay/1"', ""),
        (f' Format="{FORMAT}"', ""),
        (f' Format="{FORMAT}"', ' Format="1"'),
        (f' Format="{FORMAT}"', f' Format="{FORMAT + 1}"'),
        (f' Format="{FORMAT}"', f' Format=" {FORMAT}"'),
        ('ReceivedAt="2026', 'ReceivedAt="0000'),
        ("T08:15:00+00:00", "T08:15:60+00:00"),
        ("T08:15:00+00:00", "T08:15:00+02:00"),
        ("T08:15:00+00:00", "T08:15:00.000000+00:00"),
        ("T08:15:00+00:00", "T08:15:00"),
        ("T08:15:00+00:00", "T08:1:500+00:00"),
        ("T08:15:00+00:00", "T08:15:00.5+00:00"),
        (' MessageID="m', ' MessageID="\n'),
        (' MessageID="m', ' MessageID="&lt;'),
        (' MessageID="m', ' More="" MessageID="m'),
        (str(UUID(int=2)), "A"),
        (str(UUID(int=2)), "ABCDEF00-0000-0000-0000-000000000002"),
        (str(UUID(int=2)), str(UUID(int=2)).replace("-", "")),
    ],
)
def test_an_envelope_is_read_equally_in_any_place(old: str, new: str) -> None:
    good = smx(FULL)
    body = in_a_batch(good, smx(OTHER, 2, message_id="m"), good).decode()
    for text in (changed(old, new, body), new.join(body.rsplit(old, 1))):
        with suppress(Refused):
            batch_both_ways(text.encode())


def test_a_batch_that_is_too_large_is_refused_unread() -> None:
    large = smx(written("CDATA", "x" * (MAX_BATCH_BYTES // 2)))
    with pytest.raises(Refused, match="too_large"):
        batch_both_ways(in_a_batch(large, large))


# -- the law --------------------------------------------------------------------------------------

PLAIN = st.text('abcE;ltgampquo\\-{}() ]>&<\r\t\n"ü🔒', max_size=8) | st.sampled_from(BORDERS)


@st.composite
def nearly_canonical(draw: st.DrawFn) -> str:
    """A report of the canonical shape after a few changes of single characters and fields."""
    text = draw(st.sampled_from([FULL, TEXT, OTHER, report()]))
    for field in draw(st.lists(st.sampled_from(tuple(FIELDS)), max_size=2)) if text == FULL else ():
        old, place = FIELDS[field]
        text = text.replace(old, place.replace("{}", draw(PLAIN)), 1)
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(text)))
        letter = draw(st.sampled_from([*" \t\r\n\0<>&\"'=/0159-+:.]!?\u0661\ufeff\x1d", ""]))
        text = text[:at] + letter + text[at + draw(st.integers(0, 1)) :]
    return text


@settings(max_examples=300)
@given(nearly_canonical(), st.sampled_from(["utf-8", "utf-16", "utf-16-le", "utf-16-be"]))
def test_what_the_fast_path_reads_the_full_reader_reads_equally(text: str, encoding: str) -> None:
    with suppress(Refused):
        report_both_ways(text.encode(encoding))


@given(st.lists(nearly_canonical(), min_size=1, max_size=3))
def test_a_batch_is_read_equally(texts: list[str]) -> None:
    with suppress(Refused):
        batch_both_ways(in_a_batch(*(smx(text, n) for n, text in enumerate(texts))))


@given(damaged(reports().map(render_report) | reports().map(report_xml).map(str.encode)))
def test_no_damage_makes_a_difference(body: bytes) -> None:
    with suppress(Refused):
        report_both_ways(body)


@pytest.mark.parametrize(
    "text",
    [
        *ACCEPTED.values(),
        *(text for cases in REFUSED.values() for text in cases.values()),
    ],
)
def test_the_contract_is_the_same_for_both_readers(text: str) -> None:
    with suppress(Refused):
        both_ways(text)
    with suppress(Refused):
        batch_both_ways(in_a_batch(text.join(("<SMX>", "</SMX>")).encode()))
