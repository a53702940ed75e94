"""The count of clients in each state: kept once an hour for the site, and free for loading."""

from collections.abc import Callable
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loader.store.resyncs import ResyncStore
from loader.tasks import TOTALS_INTERVAL, keep_totals
from tests.support.waiting import wait_until
from tests.support.world import Tables, chunk_store, load, message, open_tables, report

CLIENTS = [UUID(int=number, version=4) for number in range(1, 4)]
Place = tuple[UUID, int, str, str]
#: Current states: client, type, topic, user -> state id.
places = st.dictionaries(
    st.tuples(
        st.sampled_from(CLIENTS),
        st.sampled_from((301, 402)),
        st.sampled_from("ab"),
        st.sampled_from(("", "S-1", "S-2")),
    ),
    st.integers(0, 2),
)


def write(tables: Tables, states: dict[Place, int]) -> None:
    tables.truncate()
    for client in CLIENTS:
        tables.connection.execute("INSERT INTO client (client_id) VALUES (%s)", [client])
    for place, state in states.items():
        tables.connection.execute(
            "INSERT INTO current_state (client_id, topic_type, topic_id, user_sid, state_id, "
            "criticality, message_time, digest, params) VALUES (%s, %s, %s, %s, %s, 0, now(), "
            "%s, '{}')",
            [*place, state, bytes(16)],
        )


def counted(tables: Tables, function: str, *values: object) -> dict[tuple[object, ...], int]:
    """What a function counts, without the conditions."""
    arguments = ", ".join(["now(), '48 h', '15 min'", *["%s"] * len(values)])
    rows = tables.rows(
        f"SELECT topic_type, topic_id, state_id, sum(clients)::bigint FROM {function}({arguments}) "
        "GROUP BY 1, 2, 3",
        *values,
    )
    return {row[:3]: row[3] for row in rows}


@settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], print_blob=True
)
@given(states=places)
def test_clients_are_counted_and_not_their_users_and_topics(
    states: dict[Place, int], tables: Tables
) -> None:
    write(tables, states)
    clients: dict[tuple[object, ...], set[UUID]] = {(None, None, None): set(CLIENTS)}
    for (client, kind, topic, _), state in states.items():
        for key in (
            *((kind, topic, state), (kind, topic, None)),
            *((kind, None, state), (kind, None, None)),
        ):
            clients.setdefault(key, set()).add(client)
    truth = {key: len(found) for key, found in clients.items()}
    everything = counted(tables, "count_state_totals")
    assert everything == truth
    # Parts of it, on each way on which they are counted.
    sites = {key: count for key, count in truth.items() if key[0] is None}
    for kind in (301, 402):
        of_type = {key: n for key, n in truth.items() if key[0] == kind and key[1] is None}
        assert counted(tables, "count_state_totals", kind) == of_type | sites
        for topic in "ab":
            of_topic = {key: n for key, n in truth.items() if key[:2] == (kind, topic)}
            assert counted(tables, "count_state_totals", kind, topic) == of_topic | sites
            assert counted(tables, "count_small_topic", kind, topic) == of_topic


def test_one_loader_of_the_site_counts_once_an_hour(
    tables: Tables, open_resyncs: Callable[..., ResyncStore], database_url: str
) -> None:
    write(tables, {(CLIENTS[0], 301, "a", ""): 6})
    one, other = open_resyncs(), open_resyncs()
    later = one.now()
    now = later - TOTALS_INTERVAL
    assert one.keep_state_totals(now=now, interval=TOTALS_INTERVAL)
    assert not other.keep_state_totals(now=now, interval=TOTALS_INTERVAL)
    assert other.keep_state_totals(now=later, interval=TOTALS_INTERVAL)
    assert tables.rows("SELECT DISTINCT as_of FROM state_totals") == [(later,)]
    keep_totals(lambda: ResyncStore(database_url, name="test"), states=True)
    assert tables.rows("SELECT DISTINCT as_of FROM state_totals") == [(later,)]


def test_readers_see_the_old_count_until_the_new_one_is_there(
    tables: Tables, open_resyncs: Callable[..., ResyncStore]
) -> None:
    write(tables, {})
    store = open_resyncs()
    now = store.now()
    store.keep_state_totals(now=now, interval=TOTALS_INTERVAL)
    with store._session.transaction():
        assert store.keep_state_totals(now=now + TOTALS_INTERVAL, interval=TOTALS_INTERVAL)
        assert tables.rows("SELECT DISTINCT as_of FROM state_totals") == [(now,)]


def test_the_index_keeps_updates_of_a_state_in_their_page(
    database_url: str, second_database_url: str
) -> None:
    updates = [
        updates_in_page(database_url),
        updates_in_page(second_database_url, before="DROP INDEX current_state_topic"),
    ]
    assert updates[0] == updates[1]
    assert updates[0][1] > 0


def updates_in_page(url: str, *, before: str | None = None) -> tuple[int, int]:
    """Load three states of each client, and count the updates, and those that are HOT."""
    with open_tables(url) as tables:
        if before is not None:
            tables.connection.execute(before.encode())
        store = chunk_store(url)
        clients = [UUID(int=number, version=4) for number in range(1, 201)]
        for serial in (1, 2, 3):
            load(store, *(report(message(serial, state=serial), client=one) for one in clients))
        store.close()
        counts = (
            "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables "
            "WHERE relid = 'current_state'::regclass"
        )
        wait_until(
            lambda: tables.rows(counts)[0][0] == 2 * len(clients), what="the counts of updates"
        )
        ((updated, in_page),) = tables.rows(counts)
        return int(updated), int(in_page)
