"""The XSDs and the readers agree, but for the differences listed here."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from schemas.refusal import Reason
from schemas.report import Report
from schemas.report_reader import parse_report
from schemas.report_writer import render_report
from schemas.resync import ResyncRequest, render_request
from schemas.smx import FORMAT, Envelope, render_batch, render_smx
from tests.support.documents import (
    BATCH_XSD,
    CLIENT_ID,
    GUID,
    REPORT_XSD,
    REQUEST_XSD,
    SAMPLE,
    STATE,
    TIME,
    TOPIC,
    claim,
    message,
    report,
)
from tests.support.report_strategies import reports
from tests.unit.schemas.test_refusals import REFUSED
from tests.unit.schemas.test_resync import requests
from tests.unit.schemas.test_smx import envelopes

#: Refused before validation: the XML parser passes no such document to the XSD.
NEVER_VALIDATED = {Reason.NOT_WELL_FORMED, Reason.DOCTYPE, Reason.TOO_LARGE}
#: Refusals that only the reader can make, by the rule that XSD 1.0 cannot express.
ONLY_THE_READER: dict[str, set[tuple[Reason, str]]] = {
    "a serial is a serial unless the topic type is 902": {
        (Reason.BAD_SERIAL, name) for name in REFUSED[Reason.BAD_SERIAL] if "claim" not in name
    },
    "a day exists, and a moment lies in 1970 to 2200": {
        (Reason.BAD_DATE, "time '20110230000000.000000+000'"),
        (Reason.BAD_DATE, "time '19691231235959.999999+000'"),
        (Reason.BAD_DATE, "time '22010101000000.000000+000'"),
    },
    "no space around a number, and 11 characters": {
        *((Reason.BAD_NUMBER, f"{what} ' 1'") for what in ("number", "state id")),
        *((Reason.BAD_NUMBER, f"{what} '000000000001'") for what in ("number", "state id")),
    },
    "one serial stands for one message": {
        (Reason.SERIAL_CONFLICT, name) for name in REFUSED[Reason.SERIAL_CONFLICT]
    },
    "a claim is in order and covers its serials": {
        (Reason.BAD_STRUCTURE, "a claim from back to front"),
        (Reason.BAD_STRUCTURE, "a claim above its serials"),
        (Reason.BAD_STRUCTURE, "a claim below its serials"),
    },
    "elements are not nested too deep": {
        (Reason.BAD_STRUCTURE, "nested too deep"),
        (Reason.BAD_STRUCTURE, "nested too deep in a message"),
    },
    "a known element comes once, also where it may be absent": {
        (Reason.BAD_STRUCTURE, "two claims"),
        (Reason.BAD_STRUCTURE, "two details"),
        (Reason.BAD_STRUCTURE, "two lists of params"),
    },
}
BY_READER = set().union(*ONLY_THE_READER.values())

#: Documents that both accept.
ACCEPTED = {
    "the least": report(),
    "everything": report(
        message(
            f"<Topic ID='' Type='-5' IDType='0' User='u' UserSID='s' More=''/>{STATE}"
            "<UserParameters Flags='0' Count='2'><Param/><Param>b</Param></UserParameters>"
            "<StateDetails Type='1'><![CDATA[<a/>]]></StateDetails>",
            time="19691231235959.000000-001",
        )
        + message(serial=None),
        machine=f"<A/>{CLIENT_ID}<NetBIOSName> n </NetBIOSName><ClientVersion/><Unknown/>",
        details=claim("1", "2000") + "<ReportType>Full</ReportType>",
        header="<Priority>urgent</Priority>",
    ),
    "another order": report(
        message(f"<StateDetails/>{STATE}<UserParameters/>{TOPIC}"), details="<Version/>", date=""
    ).replace("<Version/>", f"<Version/><Date>\n{TIME} </Date>"),
    "body first": "<Report><ReportBody>{1}</ReportBody>{0}</Report>".format(
        *report().removeprefix("<Report>").removesuffix("</ReportBody></Report>").split("<ReportBody>")
    ),
    "a bare client id": report(machine=f'<ClientID IDType="0" IDFlag="1"> {GUID}</ClientID>'),
    "a space after the colon": report(machine=f"<ClientID>guid: {GUID}</ClientID>"),
    "type 902": report(message(TOPIC.replace("500", "902") + STATE, serial="PKG")),
    "unknown elements in a message": report(
        message(f"<Site SiteCode='P01'/>{STATE}<a><b c='1'/></a>{TOPIC}<x:Topic xmlns:x='u'/><a/>")
    ),
    "the largest state id": report(message(f"{TOPIC}<State ID='{2**32 - 1}'/>")),
    "the last serial": report(message(serial=str(2**63 - 2))),
}  # fmt: skip
#: Documents that the reader accepts and the XSD does not, by the rule.
FORGIVEN = {
    "only header and body in a report": report().replace("<ReportHeader>", "<More/><ReportHeader>"),
    "no letters between elements": report(f"letters{message()}"),
    "a name means the same in the whole header": report(machine=f"{CLIENT_ID}<Date>2011</Date>"),
    "a name means the same in a message": report(message(f"{TOPIC}{STATE}<Date>2011</Date>")),
    "a name means the same at any depth": report(message(f"{TOPIC}{STATE}<a><State/></a>")),
}


@pytest.mark.parametrize("text", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_both_accept(text: str) -> None:
    parse_report(text.encode())
    REPORT_XSD.assertValid(etree.fromstring(text))


@pytest.mark.parametrize(
    ("reason", "name"),
    [
        (reason, name)
        for reason, cases in REFUSED.items()
        if reason not in NEVER_VALIDATED
        for name in cases
    ],
)
def test_both_refuse_but_for_the_rules_that_only_the_reader_knows(
    reason: Reason, name: str
) -> None:
    valid = REPORT_XSD.validate(etree.fromstring(REFUSED[reason][name]))
    assert valid == ((reason, name) in BY_READER)


@pytest.mark.parametrize("text", FORGIVEN.values(), ids=FORGIVEN.keys())
def test_the_reader_forgives_a_little_more(text: str) -> None:
    parse_report(text.encode())
    assert not REPORT_XSD.validate(etree.fromstring(text))


def test_the_report_of_a_real_client_is_valid() -> None:
    REPORT_XSD.assertValid(etree.fromstring(SAMPLE))


@given(reports())
def test_every_rendered_report_is_valid(written: Report) -> None:
    REPORT_XSD.assertValid(etree.fromstring(render_report(written)))


@given(st.lists(st.tuples(envelopes(), reports()), min_size=1, max_size=3))
def test_every_rendered_batch_is_valid(smx: list[tuple[Envelope, Report]]) -> None:
    body = render_batch(UUID(GUID), "host/1", [render_smx(*one) for one in smx])
    BATCH_XSD.assertValid(etree.fromstring(body))


def test_a_batch_of_a_format_that_is_not_known_is_not_valid() -> None:
    smx = f"<SMX ID='{GUID}' ReceivedAt='2011-01-07T18:40:30Z'>{report()}</SMX>"
    for written in range(FORMAT + 2):
        batch = f"<Batch ID='{GUID}' Format='{written}'>{smx}</Batch>"
        assert BATCH_XSD.validate(etree.fromstring(batch)) == (1 <= written <= FORMAT)


def test_a_batch_with_a_bad_report_is_not_valid() -> None:
    smx = f"<SMX ID='{GUID}' ReceivedAt='2011-01-07T18:40:30Z'>{{}}</SMX>"
    batch = f"<Batch ID='{GUID}' Relay=''>{smx}</Batch>"
    assert BATCH_XSD.validate(etree.fromstring(batch.format(report())))
    assert not BATCH_XSD.validate(etree.fromstring(batch.format(report(date=""))))
    assert not BATCH_XSD.validate(etree.fromstring(batch.format(report() * 2)))
    assert not BATCH_XSD.validate(etree.fromstring(batch.format("")))


@given(requests())
def test_every_rendered_request_is_valid(request: ResyncRequest) -> None:
    REQUEST_XSD.assertValid(etree.fromstring(render_request(request)))
