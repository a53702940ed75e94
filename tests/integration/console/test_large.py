"""A site too large to be counted on request: the totals are true, and come quickly."""

from collections.abc import Callable, Iterator
from io import StringIO
from uuid import UUID

import pytest
from pydantic import SecretStr
from rich.console import Console

from console.queries import Queries, query_session
from console.queries.rows import Totals
from console.status.gather import gather
from console.status.view import show
from loader.store.resyncs import ResyncStore
from loader.tasks import TOTALS_INTERVAL
from runtime.settings import Settings
from tests.support.waiting import wait_until
from tests.support.world import Tables, open_tables

#: A client of `LARGE`, with a missing range.
ONE = UUID("00000100-0000-4000-8000-000000000000")
CLIENTS = 20_000
NOBODY = "amqp://nobody:nothing@127.0.0.1:1/"
#: Tables that have as many rows as there are clients, or more.
TABLES = ("client", "state_message", "current_state", "resync_request")

#: Everything that a total may get wrong: no reply queue and too many of them, counters at the
#: limit, claims without a request, requests that ended in every way, silent and shared clients.
HOSTILE = """
INSERT INTO client (client_id, reply_queue, duplicates, reused, last_seen, duplicate_identity_at)
SELECT md5(n::text)::uuid, CASE WHEN n % 3 > 0 THEN 'queue ' || n % 130 END,
       CASE n WHEN 1 THEN 4611686018427387904 ELSE n END, n % 5, now() - n % 4 * interval '1 day',
       CASE WHEN n % 50 = 0 THEN now() END
FROM generate_series(1, 300) n;
INSERT INTO missing_message_range (client_id, first_serial, last_serial, merged, detected_at)
SELECT md5(n::text)::uuid, 1, 9223372036854775806, n % 3 = 0, now() - n * interval '1 hour'
FROM generate_series(1, 100) n;
INSERT INTO missing_message_range (client_id, first_serial, last_serial, detected_at, closed_at,
    closed_how)
SELECT md5(n::text)::uuid, 1, 1, now(), now(), 'arrived' FROM generate_series(1, 100) n;
INSERT INTO resync_request (client_id, request_id, reason, requested_at, sent_at, closed_at,
    closed_how, attempts)
SELECT md5(n::text)::uuid, gen_random_uuid(), 'missing', at, CASE WHEN n % 2 = 0 THEN at END,
       CASE WHEN how IS NOT NULL THEN at END, how, n % 2
FROM generate_series(1, 100) n,
     unnest(ARRAY['answered', 'overtaken', 'arrived', 'unanswered', 'unroutable', NULL]) how,
     LATERAL (SELECT now() - n * interval '1 hour') moment(at)
WHERE (n + length(how)) % 3 > 0 OR n % 7 = 0;
INSERT INTO resync_request (client_id, request_id, reason, requested_at, closed_at, closed_how)
SELECT md5(n::text)::uuid, gen_random_uuid(), 'operator', at, at, 'unanswered'
FROM generate_series(201, 210) n, generate_series(1, 3),
     LATERAL (SELECT now() - interval '1 hour') moment(at);
INSERT INTO resync_request (client_id, request_id, first_serial, last_serial, closed_at, closed_how)
SELECT md5(n::text)::uuid, gen_random_uuid(), 1, 2, closed, how
FROM generate_series(1, 10) n, (VALUES (now(), 'answered'), (NULL, NULL)) v(closed, how);
INSERT INTO current_state (client_id, topic_type, topic_id, user_sid, state_id, criticality,
    message_time, digest, params)
SELECT md5(n::text)::uuid, 500, '', '', 1, 0, now(), '', '{}' FROM generate_series(1, 77) n
"""

#: The totals without any kept count: plain SQL that counts everything.
PLAIN = """
SELECT (SELECT count(*) FROM client),
    (SELECT sum(duplicates)::bigint FROM client),
    (SELECT sum(reused)::bigint FROM client),
    (SELECT count(*) FROM resync_request
     WHERE requested_at IS NOT NULL AND closed_how IN ('answered', 'overtaken')),
    (SELECT count(*) FROM resync_request
     WHERE requested_at IS NOT NULL AND closed_how = 'unanswered'),
    (SELECT count(*) FROM resync_due(%(now)s, '48 h', '72 h') WHERE at <= %(now)s),
    (SELECT count(*) FROM client WHERE client_id IN (SELECT client_id FROM silent(now(), '48 h'))),
    (SELECT count(*) FROM client WHERE duplicate_identity_at IS NOT NULL),
    (SELECT array_agg(DISTINCT reply_queue ORDER BY reply_queue) FROM client),
    (SELECT count(*) FROM missing_message_range WHERE closed_at IS NULL),
    9223372036854775807,
    (SELECT count(*) FROM resync_request WHERE requested_at IS NOT NULL AND closed_at IS NULL),
    (SELECT count(*) FROM resync_request
     WHERE requested_at IS NOT NULL AND closed_at IS NULL AND sent_at IS NULL),
    (SELECT min(requested_at) FROM resync_request WHERE closed_at IS NULL AND sent_at IS NULL),
    (SELECT count(*) FROM current_state), true
"""

#: Many clients, each with two messages; nearly all missing ranges are too young for a request.
LARGE = """
INSERT INTO client (client_id, highest_serial, accounted, last_seen, reply_queue)
SELECT (lpad(to_hex(n), 8, '0') || '-0000-4000-8000-000000000000')::uuid, 2, '{[2,3)}', now(), 'q'
FROM generate_series(1, %s) n;
INSERT INTO state_message
SELECT client_id, serial, NULL, decode(md5(client_id::text || serial), 'hex'), 500, 't', 3, '', '',
       1, 0, now(), '{}', NULL, NULL, now(), NULL, now(), gen_random_uuid(), gen_random_uuid(),
       false, NULL, now()
FROM client, generate_series(1, 2) serial;
INSERT INTO current_state
SELECT client_id, topic_type, 't' || serial, user_sid, id_type, state_id, criticality, serial,
       message_time, digest, params, details
FROM state_message;
INSERT INTO missing_message_range (client_id, first_serial, last_serial, detected_at)
SELECT client_id, 1, 1, now() - CASE WHEN n <= 20 THEN interval '3 d' ELSE '0' END
FROM (SELECT client_id, row_number() OVER (ORDER BY client_id) n FROM client) c WHERE n <= 8000;
INSERT INTO resync_request (client_id, request_id, reason, requested_at, closed_at, closed_how)
SELECT client_id, gen_random_uuid(), 'missing', now(), now(), 'answered'
FROM client, generate_series(1, 2);
ANALYZE client, state_message, current_state, missing_message_range, resync_request
"""


@pytest.fixture
def tables(database_url: str) -> Iterator[Tables]:
    with open_tables(database_url) as tables:
        yield tables


@pytest.fixture
def store(database_url: str) -> Iterator[ResyncStore]:
    store = ResyncStore(database_url, name="test")
    yield store
    store.close()


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Once called, every table is too large to be counted."""
    return lambda: monkeypatch.setattr(query_session, "COUNTED_BYTES", -1)


def plainly(tables: Tables, totals: Totals) -> Totals:
    """The same totals, counted with `PLAIN`."""
    with tables.connection.transaction():
        cursor = tables.connection.execute(
            PLAIN, {"now": totals.as_of or tables.rows("SELECT now()")[0][0]}
        )
        row = cursor.fetchone()
    assert row is not None
    found = Totals(totals.as_of, *row)
    return found._replace(reply_queues=[name for name in found.reply_queues if name][:100])


def test_totals_are_those_of_a_plain_count(
    database_url: str, tables: Tables, store: ResyncStore, large: Callable[[], None]
) -> None:
    tables.connection.execute(HOSTILE)
    with Queries.open(database_url, name="test") as asked:
        small = asked.totals()
        assert small.as_of is None
        assert small == plainly(tables, small)
        assert min(small.due, small.silent, small.unsent, small.unanswered, small.reused) > 0
        assert len(small.reply_queues) < len({*small.reply_queues, None}) <= 101
        large()
        # No loader has counted yet.
        assert asked.totals().clients == small.clients
        now = store.now()
        assert store.keep_totals(now=now, interval=TOTALS_INTERVAL)
        kept = asked.totals()
        assert kept.as_of == now
        tables.connection.execute("ANALYZE current_state")
        assert asked.totals()._replace(current_states_exact=True) == plainly(tables, kept)
        assert not kept.current_states_exact


def test_totals_are_counted_once_in_a_while_and_say_of_when_they_are(
    database_url: str, tables: Tables, store: ResyncStore, large: Callable[[], None]
) -> None:
    large()
    now = store.now()
    assert store.keep_totals(now=now, interval=TOTALS_INTERVAL)
    tables.connection.execute(HOSTILE)
    for later, counts, clients in ((TOTALS_INTERVAL / 2, False, 0), (TOTALS_INTERVAL, True, 300)):
        assert store.keep_totals(now=now + later, interval=TOTALS_INTERVAL) == counts
        with Queries.open(database_url, name="test") as asked:
            assert asked.totals().clients == clients
            # Open ranges are counted now.
            assert asked.totals().missing_ranges == 100
    tables.connection.execute("UPDATE site_totals SET as_of = now() - interval '25 min'")
    found = gather(Settings(database_url=SecretStr(database_url), amqp_url=SecretStr(NOBODY)))
    assert found.database is not None
    text = StringIO()
    show(found, Console(file=text, width=1000))
    words = " ".join(text.getvalue().split())
    for line in ("clients 300", "duplicates 4,611,686,018,427,433,053", "unanswered"):
        assert f"{line} (as of 25 min " in words
    assert "current states about " in words


def test_readers_of_a_large_site_read_few_of_its_rows(
    database_url: str, tables: Tables, store: ResyncStore, large: Callable[[], None]
) -> None:
    large()
    # PostgreSQL counts what a session has read when it ends, or some time later.
    with open_tables(database_url) as filling:
        filling.connection.execute(LARGE.replace("%s", str(CLIENTS)))
    store.keep_totals(now=store.now(), interval=TOTALS_INTERVAL)
    store.close()

    def resync_check(_: Queries) -> None:
        preview = ResyncStore(database_url, name="test")
        assert len(preview.preview(now=preview.now(), limit=500)) == 20
        preview.close()

    readers: dict[str, Callable[[Queries], object]] = {
        "totals": lambda asked: asked.totals(),
        "loaded": lambda asked: asked.loaded(),
        "gaps": lambda asked: asked.missing(limit=101),
        "gaps of one": lambda asked: asked.missing(ONE, closed=True),
        "client": lambda asked: asked.client(ONE),
        "condition": lambda asked: asked.condition(ONE),
        "due": lambda asked: asked.due(ONE),
        "requests": lambda asked: asked.requests(ONE, limit=10),
        "messages": lambda asked: asked.last_messages(ONE, limit=10),
        "message": lambda asked: asked.message(ONE, 2),
        "states": lambda asked: asked.states(ONE),
        "resync check --dry-run": resync_check,
    }
    for name, read in readers.items():
        before = rows_read(tables)
        with Queries.open(database_url, name="test") as asked:
            read(asked)
        after = rows_read(tables)
        much = {t: after[t] - before[t] for t in TABLES if after[t] - before[t] > CLIENTS / 10}
        assert not much, name


def rows_read(tables: Tables) -> dict[str, int]:
    """Rows and index entries read from each table, once every reader has ended."""
    others = (
        "SELECT FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    wait_until(lambda: not tables.rows(others), what="the readers to end")
    rows = tables.rows(
        "SELECT relname, seq_tup_read + coalesce((SELECT sum(idx_tup_read) "
        "FROM pg_stat_user_indexes i WHERE i.relid = t.relid), 0)::bigint "
        "FROM pg_stat_user_tables t WHERE schemaname = 'statesys'"
    )
    found = dict.fromkeys(TABLES, 0)
    for name, read in rows:
        for table in TABLES:
            if name.startswith(table):
                found[table] += read
    return found
