"""The reader accepts everything that real clients send."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import pytest

from schemas.report import Lane, StateMessage
from schemas.report_reader import parse_report
from tests.support.documents import (
    CLIENT_ID,
    GUID,
    SAMPLE,
    STATE,
    TIME,
    TOPIC,
    claim,
    message,
    report,
)
from tests.support.paths import DATA

MOMENT = datetime(2011, 1, 7, 18, 40, 30, 662000, tzinfo=UTC)


def only(body: str) -> StateMessage:
    (found,) = parse_report(report(body).encode()).messages
    return found


def test_the_report_of_a_real_client_is_read() -> None:
    read = parse_report(SAMPLE)
    assert read.client_id == UUID(GUID)
    assert (read.client_name, read.client_version) == ("STEVERAC64-2", "4.00.6487.2000")
    assert read.date == MOMENT
    assert (read.lane, read.claim) == (Lane.NORMAL, None)
    assert read.messages == (
        StateMessage(
            serial=1431,
            serial_text=None,
            topic_type=500,
            topic_id="21e49ac6-a273-4a61-9794-eb675bc743e5",
            id_type=3,
            user_name="",
            user_sid="",
            state_id=2,
            criticality=0,
            message_time=datetime(2011, 1, 7, 18, 30, 46, 153000, tzinfo=UTC),
            params=("102",),
        ),
    )


@pytest.mark.parametrize(
    "text",
    [
        f"GUID:{GUID.upper()}",
        f"GUID: {GUID.upper()}",
        f"guid:{GUID}",
        f"Guid:{GUID.upper()}",
        GUID,
        GUID.upper(),
        f"\n  GUID:{GUID}\t",
    ],
)
def test_every_form_of_a_client_id_is_the_same_client(text: str) -> None:
    machine = f'<ClientID IDType="0" IDFlag="1">{text}</ClientID>'
    assert parse_report(report(machine=machine).encode()).client_id == UUID(GUID)


@pytest.mark.parametrize(
    ("priority", "lane"),
    [
        ("0", Lane.HIGH),
        ("1", Lane.HIGH),
        (" 1 ", Lane.HIGH),
        ("5", Lane.NORMAL),
        ("7", Lane.NORMAL),
        ("10", Lane.LOW),
        ("", Lane.NORMAL),
        ("-1", Lane.NORMAL),
        ("urgent", Lane.NORMAL),
        ("9" * 5000, Lane.NORMAL),
    ],
)
def test_priority_chooses_the_lane_wherever_it_stands(priority: str, lane: Lane) -> None:
    element = f"<Priority>{priority}</Priority>"
    for where in ({"machine": CLIENT_ID + element}, {"details": element}, {"header": element}):
        assert parse_report(report(**where).encode()).lane is lane


def test_the_first_priority_that_is_a_number_counts() -> None:
    machine = f"{CLIENT_ID}<Priority>urgent</Priority>"
    high, low = "<Priority>0</Priority>", "<Priority>10</Priority>"
    text = report(machine=machine, header=high, details=low)
    assert parse_report(text.encode()).lane is Lane.HIGH


def test_a_resync_answer_never_overtakes_whatever_its_priority() -> None:
    text = report(header="<Priority>0</Priority>", details=claim("1", "9" * 18))
    read = parse_report(text.encode())
    assert read.lane is Lane.LOW
    assert read.claim == (UUID(GUID), 1, int("9" * 18))


def test_unknown_header_elements_are_let_through() -> None:
    text = report(
        machine=f"<Unknown/>{CLIENT_ID}<Unknown><a><b>1</b></a></Unknown>",
        details="<ReportContent>What</ReportContent><Format>9</Format><x:y xmlns:x='u'/>",
        header="<Further a='1'/>",
    )
    assert parse_report(text.encode()).client_id == UUID(GUID)


def test_the_order_of_elements_does_not_matter() -> None:
    turned = message(f"<StateDetails>d</StateDetails><UserParameters/>{STATE}{TOPIC}")
    straight = message(f"{TOPIC}{STATE}<UserParameters/><StateDetails>d</StateDetails>")
    assert only(turned) == only(straight)


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "bom utf-16-be"]
)
@pytest.mark.parametrize("declaration", ["", "<?xml version='1.0' encoding='UTF-16'?>\n"])
def test_utf_8_and_both_utf_16_are_read_with_any_declaration(
    encoding: str, declaration: str
) -> None:
    mark, _, encoding = encoding.rpartition(" ")
    text = (
        ("\ufeff" if mark else "")
        + declaration
        + report(machine=CLIENT_ID + "<NetBIOSName>Zoë 🔒</NetBIOSName>")
    )
    assert parse_report(text.encode(encoding)).client_name == "Zoë 🔒"


def test_a_missing_number_takes_no_part_in_the_counting() -> None:
    read = only(message(serial=None))
    assert (read.serial, read.serial_text) == (None, None)


@pytest.mark.parametrize("number", ["77", "0", "", "PKG-1", "-5", "9" * 30])
def test_the_number_of_type_902_is_kept_as_text(number: str) -> None:
    read = only(message(TOPIC.replace("500", "902") + STATE, serial=number))
    assert (read.serial, read.serial_text) == (None, number)


@pytest.mark.parametrize("number", ["1", str(2**63 - 2), "0000000000000000001"])
def test_serials_reach_to_the_last_but_one_int8(number: str) -> None:
    assert only(message(serial=number)).serial == int(number)


def test_users_and_their_sids_are_kept_and_absent_is_empty() -> None:
    topic = '<Topic ID="a" Type="5" User="DOM\\eva" UserSID="S-1-5-21"/>'
    read = only(message(topic + STATE))
    assert (read.user_name, read.user_sid, read.id_type) == ("DOM\\eva", "S-1-5-21", None)
    assert (only(message()).user_name, only(message()).user_sid) == ("", "")


def test_an_absent_criticality_is_0() -> None:
    assert only(message(TOPIC + '<State ID="2"/>')).criticality == 0


@pytest.mark.parametrize("number", [-(2**31), -1, 0, 2**31 - 1])
def test_topic_types_and_states_nobody_has_heard_of_are_kept(number: int) -> None:
    read = only(message(f'<Topic ID="" Type="{number}"/><State ID="{number}"/>'))
    assert (read.topic_type, read.state_id, read.topic_id) == (number, number, "")


@pytest.mark.parametrize("number", [-(2**31), 2**31, 0x80070005, 2**32 - 1])
def test_a_state_id_is_a_32_bit_number_with_or_without_a_sign_bit(number: int) -> None:
    assert only(message(f'{TOPIC}<State ID="{number}"/>')).state_id == number


@pytest.mark.parametrize(
    "unknown",
    [
        "<Site SiteCode='P01'/>",
        "<Site>P01</Site>",
        "<a><b><c d='1'>text</c></b></a>",
        "<x:Topic xmlns:x='u'/>",
        "<State xmlns='u' ID='9'/>",
        "<Report/><ClientID/><Date/>",
        "<a>" * 96 + "</a>" * 96,
    ],
)
def test_unknown_elements_in_a_message_take_no_part_in_it(unknown: str) -> None:
    details = "<StateDetails>d</StateDetails>"
    for inside in (unknown + TOPIC + STATE + details, TOPIC + unknown + STATE + details + unknown):
        assert only(message(inside)) == only(message(TOPIC + STATE + details))


@pytest.mark.parametrize("end", ["\0", "\0\r\n", "\r\n\0", " \n\0\t", "<!-- a -->\0"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
def test_one_nul_behind_the_root_is_no_part_of_the_document(end: str, encoding: str) -> None:
    body = (report() + end).encode(encoding)
    assert parse_report(body) == parse_report(report().encode())


@pytest.mark.parametrize(
    ("name", "state_id"),
    [
        ("utf16_nul_terminated", 2),
        ("utf16_bom_nul_terminated", 2),
        ("unsigned_state_id", 2147942405),
        ("fsp_site_element", 301),
    ],
)
def test_forms_that_public_reports_show_are_read(name: str, state_id: int) -> None:
    (read,) = parse_report((DATA / f"{name}.xml").read_bytes()).messages
    assert read.state_id == state_id


@pytest.mark.parametrize(
    ("inside", "params"),
    [
        ("", ()),
        ("<UserParameters/>", ()),
        ("<UserParameters><Param/></UserParameters>", ("",)),
        ("<UserParameters><Param/><Param>b</Param><Param></Param></UserParameters>", ("", "b", "")),
        ("<UserParameters Count='9'>" + "<Param>x</Param>" * 5 + "</UserParameters>", ("x",) * 5),
        (
            "<UserParameters><Param> a<!-- no -->b<![CDATA[<c>]]> </Param></UserParameters>",
            (" ab<c> ",),
        ),
    ],
)
def test_params_are_kept_also_when_empty(inside: str, params: Sequence[str]) -> None:
    assert only(message(TOPIC + STATE + inside)).params == params


@pytest.mark.parametrize(
    ("inside", "details", "kind"),
    [
        ("", None, None),
        ("<StateDetails/>", "", None),
        ("<StateDetails Type='1'><![CDATA[<a>&amp;]]></StateDetails>", "<a>&amp;", "1"),
        ("<StateDetails Type=''>a<![CDATA[b]]>c&#13;</StateDetails>", "abc\r", ""),
        ("<StateDetails><![CDATA[]]]]><![CDATA[>]]></StateDetails>", "]]>", None),
    ],
)
def test_details_are_text_with_or_without_cdata(
    inside: str, details: str | None, kind: str | None
) -> None:
    read = only(message(TOPIC + STATE + inside))
    assert (read.details, read.details_type) == (details, kind)


def test_details_of_three_million_letters_are_read() -> None:
    details = "ä" * 3_000_000
    body = message(f"{TOPIC}{STATE}<StateDetails><![CDATA[{details}]]></StateDetails>")
    for encoding in ("utf-8", "utf-16"):
        assert parse_report(report(body).encode(encoding)).messages[0].details == details


def test_a_report_of_twelve_thousand_messages_is_read() -> None:
    body = "".join(message(serial=str(serial)) for serial in range(1, 12_001))
    assert parse_report(report(body).encode("utf-16")).serials == list(range(1, 12_001))


def test_the_same_message_twice_is_one_message() -> None:
    later = message(time=TIME.replace("+000", "+060").replace("18", "19"))
    assert len(parse_report(report(message() + message() + later).encode()).messages) == 1


def test_the_same_message_twice_without_number_stays_two() -> None:
    twice = message(serial=None) * 2
    assert len(parse_report(report(twice).encode()).messages) == 2


def test_a_claim_needs_to_cover_only_what_is_numbered() -> None:
    body = message(serial=None) + message(serial="7")
    read = parse_report(report(body, details=claim("7", "7")).encode())
    assert read.claim == (UUID(GUID), 7, 7)


def test_dates_count_as_moments_whatever_their_offset() -> None:
    read = only(message(time="20110107194030.662000+060"))
    assert read.message_time == MOMENT
