"""The database gets exactly what was sent: COPY's escapes, copies, rivals, determining reports."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from loader.prepare import stage_lines
from loader.store.chunks import ChunkStore
from schemas.digest import ABSENT, FIELD
from schemas.report import Claim, Report, StateMessage
from schemas.smx import Envelope, Smx, parse_batch, render_batch, render_smx
from schemas.smx_text import smx_text
from tests.support.world import CLIENT, START, Tables, chunk_store, message, report, smx

_REAL_DATABASE = settings(
    max_examples=150,
    # Each example truncates the tables, so one database serves them all.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
#: Any text that XML 1.0 allows; nothing else can arrive.
xml_text = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"),
        # Characters that COPY, arrays and XML treat specially, more often than at random.
        st.sampled_from("\t\n\r\\\"'{},;:<>&]N.tb0x7\x7f\x85\u2028 "),
    ),
    max_size=60,
)
HOSTILE = [
    "\\N",
    "\\.",
    "\\",
    "\\\\",
    "\\t",
    "\\x41",
    "\\101",
    "a\tb",
    "a\nb",
    "a\r\nb\r",
    "NULL",
    "",
    " ",
    '"',
    "{",
    "}",
    "{NULL}",
    '","',
    "]]>",
    "<![CDATA[",
    "&amp;",
    "\U0001f600\U0010fffd",
    "\ud7ff\ue000\ufffd",
    "'; DROP TABLE client; --",
]


def hostile(text: str, *, serial: int | None = 1, number: str | None = None) -> StateMessage:
    """A message with this text in every text field."""
    return message(serial, topic=text, serial_text=number)._replace(
        topic_type=500 if number is None else 902,
        user_name=text,
        user_sid=text,
        params=(text, "", text),
        details=text,
        details_type=text,
    )


def travelled(*reports: Report) -> bytes:
    """The rows of reports that were written as a batch and read again, as in the pipeline."""
    rendered = [render_smx(*smx(one)) for one in reports]
    batch = parse_batch(render_batch(uuid4(), "test", rendered))
    return stage_lines([smx_text(batch.batch_id, one) for one in batch.smx])


def stored(tables: Tables, topic: str) -> list[tuple[Any, ...]]:
    return tables.rows(
        "SELECT serial, serial_text, topic_id, user_name, user_sid, params, details, details_type "
        "FROM state_message WHERE topic_id = %s ORDER BY serial",
        topic,
    )


@_REAL_DATABASE
@given(text=xml_text)
def test_any_text_survives_the_way_into_the_tables(
    text: str, store: ChunkStore, tables: Tables
) -> None:
    tables.truncate()
    store.load(travelled(report(hostile(text))))
    assert stored(tables, text) == [(1, None, text, text, text, [text, "", text], text, text)]


def test_texts_that_mean_something_to_copy_or_xml_are_only_texts(
    store: ChunkStore, tables: Tables
) -> None:
    numbered = [hostile(text, serial=serial) for serial, text in enumerate(HOSTILE, 1)]
    others = [hostile(text, serial=None, number=text) for text in HOSTILE]
    store.load(travelled(report(*numbered, *others)))
    for serial, text in enumerate(HOSTILE, 1):
        texts = (text, text, text, [text, "", text], text, text)
        assert stored(tables, text) == [(serial, None, *texts), (None, text, *texts)]
        query = "SELECT user_sid, params, details FROM current_state WHERE topic_id = %s"
        assert tables.rows(query, text) == [(text, [text, "", text], text)] * 2


def test_a_hostile_client_name_is_only_a_name(store: ChunkStore, tables: Tables) -> None:
    store.load(travelled(report(message(1))._replace(client_name="a\\N\tb'\n\\.")))
    assert tables.rows("SELECT name FROM client") == [("a\\N\tb'\n\\.",)]


@_REAL_DATABASE
@given(params=st.lists(xml_text, max_size=5))
@example(params=[])
@example(params=[""])
@example(params=["", "", "", "", ""])
def test_params_arrive_one_by_one_and_empty_ones_too(
    params: list[str], store: ChunkStore, tables: Tables
) -> None:
    tables.truncate()
    store.load(travelled(report(message(1)._replace(params=tuple(params)))))
    assert tables.rows("SELECT params FROM state_message") == [(params,)]


def test_absent_texts_are_null_and_empty_ones_are_empty(store: ChunkStore, tables: Tables) -> None:
    with_empty = message(2)._replace(details="", details_type="")
    store.load(travelled(report(message(1), with_empty)))
    rows = tables.rows("SELECT details, details_type FROM state_message ORDER BY serial")
    assert rows == [(None, None), ("", "")]


def test_an_encoding_in_the_environment_changes_no_letter(
    monkeypatch: pytest.MonkeyPatch, database_url: str, tables: Tables
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    store = chunk_store(database_url, max_ranges=10, min_missing_age=timedelta(hours=1))
    store.load(travelled(report(message(1, topic="größer ≥ €"))))
    store.close()
    assert tables.rows("SELECT topic_id FROM state_message") == [("größer ≥ €",)]


def test_moments_and_extreme_numbers_arrive_exactly(store: ChunkStore, tables: Tables) -> None:
    late = datetime(2200, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    extreme = message(2**63 - 2)._replace(
        topic_type=-(2**31), state_id=2**31 - 1, criticality=-1, id_type=None, message_time=late
    )
    store.load(travelled(report(extreme, date=datetime(1970, 1, 1, tzinfo=UTC))))
    rows = tables.rows(
        "SELECT serial, topic_type, state_id, criticality, id_type, message_time, report_date "
        "FROM state_message"
    )
    assert rows == [
        (2**63 - 2, -(2**31), 2**31 - 1, -1, None, late, datetime(1970, 1, 1, tzinfo=UTC))
    ]


# -- copies, rivals, determining reports; the last columns: name, version, queue, copies, rival --


def lines(*found: Smx) -> list[list[str]]:
    text = stage_lines([smx_text(uuid4(), one) for one in found]).decode()
    return [line.split(FIELD) for line in text.removesuffix("\n").split("\n")]


def copies_and_rivals(*found: Smx) -> list[tuple[str, str, str]]:
    return [(row[0], row[-2], row[-1]) for row in lines(*found)]


def test_the_same_message_twice_is_one_row_with_two_copies() -> None:
    one, other = smx(report(message(1), message(2))), smx(report(message(1)))
    assert copies_and_rivals(one, other) == [("1", "2", "f"), ("2", "1", "f")]


def test_other_content_under_a_serial_is_a_rival_of_the_first() -> None:
    first, second, third = (smx(report(message(7, state=state))) for state in (1, 2, 3))
    found = copies_and_rivals(first, second, third, second)
    assert found == [("7", "1", "f"), ("7", "2", "t"), ("7", "1", "t")]


def test_serials_of_other_clients_are_no_rivals() -> None:
    other = UUID(int=9, version=4)
    found = copies_and_rivals(
        smx(report(message(1, state=1))), smx(report(message(1, state=2), client=other))
    )
    assert [rival for *_, rival in found] == ["f", "f"]


def test_messages_without_serial_are_never_rivals() -> None:
    unnumbered = [smx(report(message(None, state=state))) for state in (1, 2, 1)]
    assert copies_and_rivals(*unnumbered) == [(ABSENT, "2", "f"), (ABSENT, "1", "f")]


QUEUES = {number: f"statesys.resync.{number:08x}" for number in (1, 2)}


def named(
    name: str, serial: int | None, *, state: int = 1, queue: int = 1, client: UUID = CLIENT
) -> Smx:
    one = report(message(serial, state=state), client=client)._replace(client_name=name)
    return smx(one, reply_to=QUEUES[queue])


def determining(*found: Smx) -> list[tuple[str, str]]:
    return [(row[-5], row[-3]) for row in lines(*found)]


def test_the_highest_serial_determines_a_life_and_every_life_in_a_row_of_its_own() -> None:
    found = determining(
        named("b", 2), named("c", 3), named("a", 1), named("new", 1, state=2, queue=2)
    )
    assert found == [(ABSENT, ABSENT), ("c", QUEUES[1]), (ABSENT, ABSENT), ("new", QUEUES[2])]


def test_of_two_reports_without_a_serial_the_later_determines() -> None:
    found = determining(named("a", None), named("b", None, state=2))
    assert found == [(ABSENT, ABSENT), ("b", QUEUES[1])]


def test_every_client_has_a_report_that_determines_its_row() -> None:
    found = determining(named("a", 1), named("b", 1, client=UUID(int=9, version=4)))
    assert [name for name, _ in found] == ["a", "b"]


def test_a_report_that_stands_in_the_chunk_already_determines_nothing() -> None:
    assert determining(named("first", 1), named("again", 1, queue=2)) == [("first", QUEUES[1])]


@pytest.mark.parametrize("name", ["statesys.incoming", "statesys.resync.x", "statesys.resync.\\N"])
def test_a_reply_queue_of_another_form_is_left_out(name: str) -> None:
    ((*_, reply_queue, _, _),) = lines(smx(report(message(1)), reply_to=name))
    assert reply_queue == ABSENT


def test_a_claim_stands_in_every_row_of_its_report() -> None:
    claim = Claim(uuid4(), 1, 2)
    envelope = Envelope(uuid4(), START)
    found = lines(Smx(envelope, report(message(1), message(2), claim=claim)))
    assert [row[21:24] for row in found] == [[str(claim.request_id), "1", "2"]] * 2
