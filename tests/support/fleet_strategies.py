"""Hypothesis strategies for clients and messages."""

from datetime import UTC, datetime
from uuid import UUID

from hypothesis import strategies as st

from producers.client import Client
from schemas.report import MAX_PARAMS, StateMessage

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

# What XML 1.0 allows: no control characters but tab and line ends, no surrogates, no U+FFFE/FFFF.
texts = st.text(
    st.characters(
        exclude_categories=("Cs", "Cc"),
        include_characters="\t\n\r",
        exclude_characters="\ufffe\uffff",
    ),
    max_size=40,
)
# Without white space, since XML normalises attributes and the reader strips names.
names = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=20)
moments = st.datetimes(
    min_value=datetime(1990, 1, 1),  # noqa: DTZ001 - the zone comes with `timezones`
    max_value=datetime(2150, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
messages = st.builds(
    StateMessage,
    serial=st.none(),
    serial_text=st.none(),
    topic_type=st.sampled_from((300, 301, 402, 500, 800, 99999)),
    topic_id=names,
    id_type=st.none() | st.integers(0, 9),
    user_name=st.just("") | names,
    user_sid=st.just("") | names,
    state_id=st.integers(0, 800),
    criticality=st.integers(0, 3),
    message_time=moments,
    params=st.lists(texts, max_size=MAX_PARAMS).map(tuple),
    details=st.none() | texts,
    details_type=st.none(),
)
clients = st.builds(
    Client,
    number=st.integers(0, 99_999),
    client_id=st.uuids(version=4),
    name=names,
    version=st.just("5.00.9106.1000"),
    last_serial=st.integers(0, 2**62),
)


def a_client(*, last_serial: int = 0) -> Client:
    return Client(0, UUID(int=7), "WS-000000", "5.00.9106.1000", last_serial)


def a_state(topic_id: str = "kb1", state_id: int = 2, *, topic_type: int = 500) -> StateMessage:
    return StateMessage(None, None, topic_type, topic_id, 3, "", "", state_id, 0, NOW, ("102",))
