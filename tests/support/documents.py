"""Reports as text with exchangeable parts, for documents that our renderers never write."""

from lxml import etree

from tests.support.paths import DATA, SCHEMAS

#: Reports of a real client.
SAMPLE = (DATA / "report-2011.utf16.xml").read_bytes()
MALFORMED = (DATA / "report-2011-malformed.utf16.xml").read_bytes()

REPORT_XSD = etree.XMLSchema(file=str(SCHEMAS / "report.xsd"))
BATCH_XSD = etree.XMLSchema(file=str(SCHEMAS / "batch.xsd"))
REQUEST_XSD = etree.XMLSchema(file=str(SCHEMAS / "resync_request.xsd"))

GUID = "f1b03089-9ea1-4a64-83dc-5f8e77bddeb4"
TIME = "20110107184030.662000+000"

CLIENT_ID = f"<ClientID>GUID:{GUID.upper()}</ClientID>"
TOPIC = '<Topic ID="update-1" Type="500" IDType="3"/>'
STATE = '<State ID="2" Criticality="0"/>'


def message(
    inside: str = TOPIC + STATE, *, time: str | None = TIME, serial: str | None = "1431"
) -> str:
    """A `StateMessage`; an attribute that is None is left out."""
    when = "" if time is None else f' MessageTime="{time}"'
    number = "" if serial is None else f' SerialNumber="{serial}"'
    return f"<StateMessage{when}{number}>{inside}</StateMessage>"


def report(
    body: str | None = None,
    *,
    machine: str = CLIENT_ID,
    date: str = f"<Date>{TIME}</Date>",
    details: str = "",
    header: str = "",
) -> str:
    """A whole report.

    Args:
        body: content of `ReportBody`; None is one good message.
        machine: content of `Machine`.
        date: the element `Date`, or what replaces it.
        details: further content of `ReportDetails`.
        header: further content of `ReportHeader`.
    """
    return (
        f"<Report><ReportHeader><Identification><Machine>{machine}</Machine></Identification>"
        f"<ReportDetails>{date}{details}</ReportDetails>{header}</ReportHeader>"
        f"<ReportBody>{message() if body is None else body}</ReportBody></Report>"
    )


def claim(first: str = "1431", last: str = "1431", request: str = GUID) -> str:
    """A `Resync` element for `ReportDetails`."""
    return f'<Resync RequestID="{request}" FirstSerial="{first}" LastSerial="{last}"/>'
