"""What the reader refuses, and why: every refusal reason that the reader gives."""

import pytest

from schemas.errors import Refused
from schemas.refusal import Reason
from schemas.report import MAX_DEPTH, MAX_REPORT_BYTES
from schemas.report_reader import parse_report
from tests.support.documents import (
    CLIENT_ID,
    GUID,
    MALFORMED,
    STATE,
    TIME,
    TOPIC,
    claim,
    message,
    report,
)

LONG = "x" * 513
NO_NUMBERS = (
    *("", " 1", "+1", "1.0", "-", "--1", "0x1", "1_0", "\u0661", "0" * 11 + "1", "9" * 5000),
)
#: Reasons that are none of the reader: the relay, the loader and the broker give them.
ELSEWHERE = {
    Reason.NEWER_FORMAT,
    Reason.QUARANTINED,
    Reason.DATABASE,
    Reason.DELIVERY_LIMIT,
}


def topic(**attributes: str) -> str:
    """A message about a topic with these attributes."""
    found = {"ID": "a", "Type": "500"} | attributes
    text = " ".join(f'{name}="{value}"' for name, value in found.items())
    return report(message(f"<Topic {text}/>{STATE}"))


def state(attributes: str) -> str:
    return report(message(f"{TOPIC}<State {attributes}/>"))


def client_id(text: str) -> str:
    return report(machine=f"<ClientID>{text}</ClientID>")


def beside(extra: str) -> str:
    """A message with a further element."""
    return report(message(TOPIC + STATE + extra))


#: reason -> name of the case -> document
REFUSED: dict[Reason, dict[str, str]] = {
    Reason.NOT_WELL_FORMED: {
        "nothing": "",
        "no XML": "hello",
        "cut": report()[:-20],
        "two roots": report() + report(),
        "stray end tag": report(message() + "</a>"),
        "undefined entity": beside("<StateDetails>&foo;</StateDetails>"),
        "NUL": beside("<StateDetails>&#0;</StateDetails>"),
        "half a surrogate pair": beside("<StateDetails>&#xD83D;</StateDetails>"),
        "undeclared prefix": report(header="<a:b/>"),
        "attribute twice": report(header="<a b='1' b='2'/>"),
        "two NULs behind the root": report() + "\0\0",
        "two NULs and white space behind the root": report() + "\0\r\n\0",
        "a NUL before the root": "\0" + report(),
        "a NUL between elements": report(message() + "\0"),
        "a NUL between the root and a comment": report() + "\0<!-- a -->",
        "a NUL and no more": "\0",
    },
    Reason.DOCTYPE: {
        "empty": "<!DOCTYPE Report>" + report(),
        "after a comment": "<!-- a --><?b c?>\n<!DOCTYPE Report>" + report(),
        "with an entity": "<!DOCTYPE a [<!ENTITY b 'c'>]>"
        + beside("<StateDetails>&b;</StateDetails>"),
        "outside": "<!DOCTYPE a SYSTEM 'http://127.0.0.1:9/a.dtd'>" + report(),
    },
    Reason.TOO_LARGE: {"a letter too much": "x" * (MAX_REPORT_BYTES + 1)},
    Reason.TOO_LONG: {
        "topic id": topic(ID=LONG),
        "user": topic(User=LONG),
        "SID": topic(UserSID=LONG),
        "client name": report(machine=f"{CLIENT_ID}<NetBIOSName>{LONG}</NetBIOSName>"),
        "client version": report(machine=f"{CLIENT_ID}<ClientVersion>{LONG}</ClientVersion>"),
        "type of the details": beside(f"<StateDetails Type='{LONG}'/>"),
        "number of type 902": report(message(TOPIC.replace("500", "902") + STATE, serial=LONG)),
    },
    Reason.NO_CLIENT_ID: {
        "none": report(machine=""),
        "empty": client_id(""),
        "blank": client_id(" \n "),
        "in another place": report(machine="", header=CLIENT_ID),
    },
    Reason.BAD_CLIENT_ID: {
        "prefix alone": client_id("GUID:"),
        "braces": client_id("{" + GUID + "}"),
        "urn": client_id(f"urn:uuid:{GUID}"),
        "no hyphens": client_id(GUID.replace("-", "")),
        "hyphens elsewhere": client_id(GUID.replace("-", "", 1) + "-"),
        "too short": client_id(GUID[:-1]),
        "no hexadecimal digit": client_id(GUID[:-1] + "g"),
        "underscore": client_id(GUID[:-2] + "_4"),
        "digits of another script": client_id(GUID[:-1] + "\u0664"),
        "prefix twice": client_id(f"GUID:GUID:{GUID}"),
    },
    Reason.NO_STATE_MESSAGE: {"empty body": report(""), "blank body": report(" \n")},
    Reason.BAD_SERIAL: {
        f"serial {text!r}": report(message(serial=text))
        for text in (
            "", "0", "-1", "+1", " 1", "1.0", "1e3", "a", "0x10", "1_0", "\u0661",
            str(2**63 - 1), "9" * 30, "0" * 19 + "1",
        )
    }
    | {
        "claim from 0": report(details=claim("0", "2000")),
        "claim to nowhere": report(details=claim("1", "")),
    },
    Reason.BAD_DATE: {
        f"time {text!r}": report(message(time=text))
        for text in (
            "", "20110107", "2011-01-07T18:40:30Z", TIME[:-4], f" {TIME}", TIME + "0",
            "20110230000000.000000+000", "20111301000000.000000+000", "20110107250000.000000+000",
            "20110107184060.000000+000", "19691231235959.999999+000", "22010101000000.000000+000",
            "00010101000000.000000+999", "99991231235959.999999-999",
            "2011010718403\u0660.662000+000",
        )
    }
    | {
        "date of the report": report(date="<Date>yesterday</Date>"),
        "empty date of the report": report(date="<Date/>"),
    },
    Reason.BAD_NUMBER: {
        f"number {text[:20]!r}": state(f'ID="1" Criticality="{text}"')
        for text in (*NO_NUMBERS, str(2**31), str(-(2**31) - 1))
    }
    | {
        f"state id {text[:20]!r}": state(f'ID="{text}"')
        for text in (*NO_NUMBERS, str(2**32), str(-(2**31) - 1))
    }
    | {
        "topic type": topic(Type="x"),
        "id type": topic(IDType=""),
        "criticality": state('ID="1" Criticality="high"'),
    },
    Reason.BAD_STRUCTURE: {
        "another root": "<Batch/>",
        "a root in a namespace": report().replace("<Report>", "<Report xmlns='u'>", 1),
        "no header": "<Report><ReportBody/></Report>",
        "no body": report().replace("ReportBody", "Body"),
        "two bodies": report().replace("<ReportBody>", "<ReportBody/><ReportBody>"),
        "no identification": report().replace("Identification", "Id"),
        "no machine": report().replace("Machine>", "Computer>"),
        "no details": report().replace("ReportDetails", "Details"),
        "no date": report(date=""),
        "two dates": report(date=f"<Date>{TIME}</Date>" * 2),
        "two clients": report(machine=CLIENT_ID * 2),
        "two claims": report(details=claim() * 2),
        "unknown element in the body": report(message() + "<StatusMessage/>"),
        "a message in a message": beside(message(serial="1432")),
        "a param in a message": beside("<Param>a</Param>"),
        "unknown element in the topic": report(
            message(f"<Topic ID='a' Type='5'><b/></Topic>{STATE}")
        ),
        "unknown element in the state": report(message(f"{TOPIC}<State ID='5'><b/></State>")),
        "unknown element among the params": beside("<UserParameters><P/></UserParameters>"),
        "element in a param": beside("<UserParameters><Param><b/></Param></UserParameters>"),
        "element in the details": beside("<StateDetails>a<b/></StateDetails>"),
        "two topics": report(message(TOPIC + TOPIC + STATE)),
        "two states": beside(STATE),
        "two details": beside("<StateDetails/><StateDetails/>"),
        "two lists of params": beside("<UserParameters/><UserParameters/>"),
        "six params": beside("<UserParameters>" + "<Param/>" * 6 + "</UserParameters>"),
        "no topic": report(message(STATE)),
        "no state": report(message(TOPIC)),
        "no time": report(message(time=None)),
        "no topic id": report(message(f"<Topic Type='5'/>{STATE}")),
        "no topic type": report(message(f"<Topic ID='5'/>{STATE}")),
        "no state id": state(""),
        "nested too deep in a message": beside("<a>" * MAX_DEPTH + "</a>" * MAX_DEPTH),
        "nested too deep": report(header="<a>" * MAX_DEPTH + "</a>" * MAX_DEPTH),
        "a claim without request": report(details=claim().replace("RequestID", "ID")),
        "a claim without end": report(details=claim().replace("LastSerial", "Last")),
        "a claim with a strange request": report(details=claim(request="1234")),
        "a claim from back to front": report(details=claim("1432", "1431")),
        "a claim above its serials": report(details=claim("1432", "1500")),
        "a claim below its serials": report(details=claim("1", "1430")),
    },
    Reason.SERIAL_CONFLICT: {
        "another state": report(message() + message(TOPIC + "<State ID='3'/>")),
        "another details": report(message() + message(f"{TOPIC}{STATE}<StateDetails/>")),
    },
}  # fmt: skip
CASES = [
    pytest.param(reason, text, id=f"{reason}: {name}")
    for reason, cases in REFUSED.items()
    for name, text in cases.items()
]


@pytest.mark.parametrize(("reason", "text"), CASES)
def test_it_is_refused_with_its_reason(reason: Reason, text: str) -> None:
    with pytest.raises(Refused) as refusal:
        parse_report(text.encode())
    assert refusal.value.reason is reason
    assert refusal.value.detail
    assert len(refusal.value.detail) <= 600


@pytest.mark.parametrize(
    ("first", "last", "wrong"),
    [("0", "5", "Resync/@FirstSerial '0'"), ("1", "many", "Resync/@LastSerial 'many'")],
)
def test_a_wrong_serial_of_a_claim_is_named_by_its_attribute(
    first: str, last: str, wrong: str
) -> None:
    with pytest.raises(Refused) as refusal:
        parse_report(report(details=claim(first, last)).encode())
    assert refusal.value.reason is Reason.BAD_SERIAL
    assert refusal.value.detail == f"{wrong} is not in 1..2^63-2"


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("<Other/>", "the root element is Other, not Report"),
        (report(message(STATE)), "a StateMessage without Topic or State"),
        (report(message(TOPIC + STATE.replace("/>", "><a/></State>"))), "in Topic or State"),
        (
            report(message(f'{TOPIC}{STATE}<StateDetails Type="{LONG}">a</StateDetails>')),
            "StateDetails/@Type",
        ),
        (report(message(serial="0")), "SerialNumber '0' is not in 1..2^63-2"),
        (
            report(message(TOPIC.replace("500", "902") + STATE, serial=LONG)),
            "SerialNumber",
        ),
    ],
)
def test_a_refusal_names_what_is_wrong(body: str, what: str) -> None:
    with pytest.raises(Refused) as refusal:
        parse_report(body.encode())
    assert what in refusal.value.detail


def test_every_reason_of_the_reader_has_a_case() -> None:
    assert REFUSED.keys() == set(Reason) - ELSEWHERE


def test_every_reason_says_what_it_means() -> None:
    assert all(reason.meaning for reason in Reason)
    assert len({reason.meaning for reason in Reason}) == len(Reason)


def test_the_malformed_report_of_a_real_client_is_not_well_formed() -> None:
    with pytest.raises(Refused) as refusal:
        parse_report(MALFORMED)
    assert refusal.value.reason is Reason.NOT_WELL_FORMED


def test_names_of_512_characters_are_not_too_long() -> None:
    parse_report(topic(ID="🔒" * 512, User="x" * 512, UserSID="x" * 512).encode())


def test_a_body_of_exactly_8_mib_is_not_too_large() -> None:
    text = report()
    padding = " " * (MAX_REPORT_BYTES - len(text))
    assert parse_report((text + padding).encode()).serials == [1431]
