"""The law: order, repetition, batch and chunk borders do not matter."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loader.store.chunks import ChunkStore
from tests.support.world import Tables, deliveries, histories, load

_REAL_DATABASE = settings(
    max_examples=120,
    # Each example truncates the tables, so one database serves them all.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@_REAL_DATABASE
@given(data=st.data())
def test_any_order_repetition_and_chunking_ends_in_the_same_tables(
    data: st.DataObject, store: ChunkStore, tables: Tables
) -> None:
    reports = data.draw(histories())
    outcomes = []
    for _ in range(2):
        tables.truncate()
        for chunk in data.draw(deliveries(reports)):
            load(store, *chunk)
        outcomes.append(tables.law())
    assert outcomes[0] == outcomes[1]
    assert outcomes[0]["stored twice"] == []


@_REAL_DATABASE
@given(data=st.data())
def test_the_ledger_is_one_to_highest_less_accounted_after_every_chunk(
    data: st.DataObject, store: ChunkStore, tables: Tables
) -> None:
    tables.truncate()
    for chunk in data.draw(deliveries(data.draw(histories()))):
        load(store, *chunk)
        assert tables.ledger_errors() == []


@_REAL_DATABASE
@given(data=st.data())
def test_every_message_that_arrived_is_in_the_history(
    data: st.DataObject, store: ChunkStore, tables: Tables
) -> None:
    tables.truncate()
    reports = data.draw(histories())
    for chunk in data.draw(deliveries(reports)):
        load(store, *chunk)
    sent = {(r.client_id, serial) for r in reports for serial in r.serials}
    stored = set(
        tables.rows("SELECT client_id, serial FROM state_message WHERE serial IS NOT NULL")
    )
    assert stored == sent
