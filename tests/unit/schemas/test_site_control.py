"""The state system in a site control file: read leniently where it is clear, refused where not."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import SiteControlRefused
from schemas.site_control import MAX_SIZE, StateSystem, read_state_system
from tests.support.paths import DATA

PRINTED = (DATA / "site-control.txt").read_bytes()
RETRY = '<Config><Retry PatternID="0"  RetryQueue="0">7200,28800,86400</Retry></Config>'
#: A block as a site has it, with its neighbours, a property list, and markup in a value.
WHOLE = f"""\
SITE CONTROL FILE <10><1.00>
BEGIN_FILE_DEFINITION
\t<2>
\t<Setup-based site creation>
END_FILE_DEFINITION
BEGIN_CLIENT_COMPONENT
\t<SMS Client Base Components>
\t<65537>
\tPROPERTY <Loader Threads><REG_DWORD><><64>
\tBEGIN_PROPERTY_LIST
\t\t<Copy Queue>
\t\t<(REG_DWORD)Item Lifetime=11520>
\tEND_PROPERTY_LIST
END_CLIENT_COMPONENT
BEGIN_COMPONENT
\t<SMS_STATE_SYSTEM>
\t<6>
\t<SERVER>
\tPROPERTY <Loader Threads><REG_DWORD><><4>
\tPROPERTY <Retry Config><REG_SZ><{RETRY}><0>
\tBEGIN_PROPERTY_LIST
\t\t<Queue>
\t\t<(REG_DWORD)Loader Threads=7>
\t\tPROPERTY <Loader Threads><><><9>
\tEND_PROPERTY_LIST
\tPROPERTY <Max Chunks Fetched><REG_DWORD><><100>
END_COMPONENT
BEGIN_COMPONENT
\t<SMS_INBOX_MANAGER>
\t<6>
\tPROPERTY <Max Chunks Fetched><REG_DWORD><><8>
END_COMPONENT
"""


def read(text: str) -> StateSystem:
    return read_state_system(text.encode())


def numbers(found: StateSystem) -> dict[str, str]:
    return {one.name: one.number for one in found.properties}


def test_the_printed_block_is_read_with_the_line_outside_of_it() -> None:
    assert numbers(read_state_system(PRINTED)) == {
        "Loader Threads": "4",
        "Inbox Polling Interval": "900",
        "Loader Chunk Size": "256",
        "Max Chunks Fetched": "100",
        "Resync Check Interval": "60",
        "Min Missing Message Age": "2880",
        "Heartbeat Msg Interval": "15",
        "Resync Merge Interval In Hours": "72",
    }


def test_only_the_state_systems_own_properties_are_read() -> None:
    found = read(WHOLE)
    assert numbers(found) == {
        "Loader Threads": "4",
        "Retry Config": "0",
        "Max Chunks Fetched": "100",
    }
    assert found.inner == ["PROPERTY_LIST Queue"]
    assert found.open is None


def test_a_value_may_hold_markup() -> None:
    (retry,) = (one for one in read(WHOLE).properties if one.name == "Retry Config")
    assert retry.text == RETRY


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("ascii", b""),
        ("utf-8", b"\xef\xbb\xbf"),
        ("utf-16-le", b"\xff\xfe"),
        ("utf-16-be", b"\xfe\xff"),
        ("utf-16-le", b""),
        ("utf-16-be", b""),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends_do_not_matter(encoding: str, mark: bytes, end: str) -> None:
    raw = mark + WHOLE.replace("\n", end).encode(encoding)
    assert read_state_system(raw) == read(WHOLE)


@pytest.mark.parametrize("end", ["\0", "\0\0\0", "\x1a", "\n\x1a\0"])
def test_a_text_may_end_as_dos_and_c_end_one(end: str) -> None:
    assert read(WHOLE + end) == read(WHOLE)


def test_a_code_page_beyond_ascii_does_not_matter() -> None:
    raw = WHOLE.replace("SERVER", "BÜRO").encode("cp1252")
    assert numbers(read_state_system(raw)) == numbers(read(WHOLE))


@pytest.mark.parametrize("change", [str.upper, str.lower, lambda text: text.replace("\t", "    ")])
def test_letter_case_and_indentation_do_not_matter(change: "type[str]") -> None:
    def told(text: str) -> dict[str, str]:
        return {name.casefold(): number for name, number in numbers(read(text)).items()}

    assert told(change(WHOLE)) == told(WHOLE)


def test_the_name_may_stand_behind_the_beginning_of_its_block() -> None:
    text = "BEGIN_COMPONENT <SMS_STATE_SYSTEM>\nPROPERTY <A> <> <> <1>\nEND_COMPONENT"
    assert numbers(read(text)) == {"A": "1"}


def test_an_end_without_a_beginning_ends_nothing() -> None:
    assert numbers(read(WHOLE.replace("\t<6>\n", "\t<6>\nEND_OTHER\n"))) == numbers(read(WHOLE))


def test_a_missing_end_of_an_inner_block_is_made_up_for() -> None:
    block = "BEGIN_COMPONENT\n<SMS_STATE_SYSTEM>\n{}BEGIN_PROPERTY_LIST\n<x>\nEND_COMPONENT\n"
    assert numbers(read(block.format("PROPERTY <A><><><1>\n"))) == {"A": "1"}


def test_of_several_blocks_all_properties_are_read_in_order() -> None:
    found = read(WHOLE + WHOLE)
    assert [one.name for one in found.properties].count("Loader Threads") == 2
    assert found.blocks == [15, 47]


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "is empty"),
        (b" \r\n\t", "is empty"),
        (b"\xff\xfe", "has no BEGIN_COMPONENT <SMS_STATE_SYSTEM>"),
        (b"<?xml version='1.0'?><a><b/></a>", "has no BEGIN_COMPONENT"),
        (b"PROPERTY <Loader Threads><><><4>", "has no BEGIN_COMPONENT"),
        (b"\x7fELF\x02\x01\x01\0\0\0\0 code", "line 1 holds a NUL character"),
        (WHOLE.encode("utf-32"), "holds a NUL character"),
        (WHOLE.partition("SMS_STATE")[0].encode(), "before it ends inside a block COMPONENT"),
        (WHOLE.partition("\tPROPERTY <Max")[0].encode(), "begins in line 15: copy the file again"),
        (WHOLE.replace("<><4>", "<><4").encode(), r"line 19, '<Loader Threads>.*, is no PROPERTY"),
        (WHOLE.replace("\nEND_COMPONENT\n", "\n").encode(), "ends inside the block"),
        (b"BEGIN_COMPONENT\n" * 100_000, "line 101 begins a block inside 100 others"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_another_file_is_refused_with_what_to_do(raw: bytes, words: str) -> None:
    with pytest.raises(SiteControlRefused, match=words) as refused:
        read_state_system(raw)
    assert any(word in str(refused.value) for word in ("give", "copy"))


def test_a_file_of_another_size_than_a_site_control_file_is_refused() -> None:
    with pytest.raises(SiteControlRefused, match="larger than 16 MiB"):
        read_state_system(PRINTED + bytes(MAX_SIZE))


def test_a_file_that_ends_behind_the_state_system_says_what_it_cuts() -> None:
    assert read(WHOLE.removesuffix("END_COMPONENT\n")).open == "COMPONENT"


pieces = st.sampled_from(
    [
        *(b"BEGIN_COMPONENT", b"END_COMPONENT", b"BEGIN_", b"END_", b"PROPERTY", b"\n", b"\r\n"),
        *(b"<SMS_STATE_SYSTEM>", b"<Loader Threads>", b"<>", b"<4>", b"<", b">", b"\0", b" "),
        *(b"BEGIN_PROPERTY_LIST", b"END_PROPERTY_LIST", b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf"),
    ]
)


@given(st.one_of(st.binary(), st.lists(pieces | st.binary(max_size=4)).map(b"".join)))
def test_bytes_are_read_or_refused(raw: bytes) -> None:
    with suppress(SiteControlRefused):
        read_state_system(raw)


@given(st.integers(0, len(WHOLE)), st.integers(0, len(WHOLE)), st.binary(max_size=3))
def test_a_damaged_file_is_read_or_refused(start: int, end: int, other: bytes) -> None:
    raw = WHOLE.encode()
    with suppress(SiteControlRefused):
        read_state_system(raw[:start] + other + raw[end:])
