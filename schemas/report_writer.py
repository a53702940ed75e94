"""Report to bytes: the XML a client sends."""

import re
from xml.sax.saxutils import escape, quoteattr

from schemas import cim_datetime
from schemas.guid import render_guid
from schemas.report import Claim, Report, StateMessage

#: XML reads a bare carriage return in text as a line feed (XML 1.0, section 2.11).
_TEXT_ENTITIES = {"\r": "&#13;"}
#: Finds characters that need escaping. Few texts hold any, so most skip `escape`.
_special = re.compile(r"""[&<>"'\t\r\n]""").search


def render_report(report: Report) -> bytes:
    """Render a report as a client sends it: UTF-16 (little-endian) with a byte-order mark.

    Args:
        report: its texts hold only characters legal in XML 1.0.
    """
    text = '<?xml version="1.0" encoding="UTF-16"?>\n' + report_xml(report)
    return b"\xff\xfe" + text.encode("utf-16-le")


def report_xml(report: Report) -> str:
    """The `Report` element as text, without an XML declaration."""
    priority = "" if report.priority is None else f"<Priority>{report.priority}</Priority>"
    claim = "" if report.claim is None else _claim(report.claim)
    return (
        "<Report><ReportHeader><Identification><Machine>"
        "<ClientInstalled>1</ClientInstalled><ClientType>1</ClientType>"
        f"<ClientID>{render_guid(report.client_id)}</ClientID>"
        f"<ClientVersion>{_escaped(report.client_version)}</ClientVersion>"
        f"<NetBIOSName>{_escaped(report.client_name)}</NetBIOSName>"
        "<CodePage>437</CodePage><SystemDefaultLCID>1033</SystemDefaultLCID>"
        f"{priority}</Machine></Identification><ReportDetails>"
        "<ReportContent>State Message Data</ReportContent><ReportType>Full</ReportType>"
        f"<Date>{cim_datetime.render(report.date)}</Date>"
        f"<Version>1.0</Version><Format>1.0</Format>{claim}"
        "</ReportDetails></ReportHeader><ReportBody>"
        + "".join(map(message_xml, report.messages))
        + "</ReportBody></Report>"
    )


def _claim(claim: Claim) -> str:
    return (
        f'<Resync RequestID="{claim.request_id}" FirstSerial="{claim.first_serial}"'
        f' LastSerial="{claim.last_serial}"/>'
    )


def message_xml(m: StateMessage) -> str:
    """The `StateMessage` element as text."""
    if m.serial is not None:
        serial = f' SerialNumber="{m.serial}"'
    else:
        serial = "" if m.serial_text is None else f" SerialNumber={_quoted(m.serial_text)}"
    id_type = "" if m.id_type is None else f' IDType="{m.id_type}"'
    user = f" User={_quoted(m.user_name)}" if m.user_name else ""
    sid = f" UserSID={_quoted(m.user_sid)}" if m.user_sid else ""
    params = (
        f'<UserParameters Flags="0" Count="{len(m.params)}">'
        + "".join(f"<Param>{_escaped(param)}</Param>" for param in m.params)
        + "</UserParameters>"
        if m.params
        else ""
    )
    return (
        f'<StateMessage MessageTime="{cim_datetime.render(m.message_time)}"{serial}>'
        f'<Topic ID={_quoted(m.topic_id)} Type="{m.topic_type}"{id_type}{user}{sid}/>'
        f'<State ID="{m.state_id}" Criticality="{m.criticality}"/>'
        f"{params}{_details(m)}</StateMessage>"
    )


def _details(m: StateMessage) -> str:
    if m.details is None:
        return ""
    kind = "" if m.details_type is None else f" Type={_quoted(m.details_type)}"
    # CDATA cannot hold `]]>`, and XML reads a carriage return in it as a line feed.
    if "]]>" in m.details or "\r" in m.details:
        return f"<StateDetails{kind}>{_escaped(m.details)}</StateDetails>"
    return f"<StateDetails{kind}><![CDATA[{m.details}]]></StateDetails>"


def _escaped(text: str) -> str:
    return escape(text, _TEXT_ENTITIES) if _special(text) else text


def _quoted(text: str) -> str:
    return quoteattr(text) if _special(text) else f'"{text}"'
