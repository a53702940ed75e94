"""The rules of who is asked, and when, exist once: readers and the resync task agree."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from console.queries import Queries
from loader.store.partitions import PartitionStore
from loader.store.resyncs import ResyncStore
from loader.store.sites import RunningLoader
from runtime.rules import SiteRules
from runtime.settings import Settings
from schemas.errors import SchemaMissing
from tests.support.agreement import Site
from tests.support.world import Tables

RULES = SiteRules.of(Settings())
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
#: All histories are around this moment.
BASE = datetime.now(UTC).replace(microsecond=0)
REASONS = ("missing", "serial_reused", "merged", "operator")

#: Minutes apart, so that causes, requests and answers interleave; or days apart, like the ages.
moments = st.one_of(
    st.integers(-8, 8).map(lambda hours: BASE + 24 * hours * HOUR),
    st.integers(-300, 300).map(lambda minutes: BASE + minutes * MINUTE),
)
ranges = st.lists(st.tuples(moments, st.booleans(), st.integers(0, 2)), max_size=2)


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """A request in any state: planned, sent, or closed in any way."""
    at = draw(moments)
    how = draw(
        st.sampled_from((None, "answered", "overtaken", "arrived", "unanswered", "unroutable"))
    )
    published = how not in {None, "arrived"} or draw(st.booleans())
    answering = draw(st.booleans())
    return {
        "request_id": uuid4(),
        "reason": draw(st.sampled_from(REASONS)),
        "requested_at": at,
        "sent_at": at if published and how != "unroutable" else None,
        "attempts": int(published),
        "closed_at": None if how is None else at + draw(st.integers(0, 72)) * HOUR,
        "closed_how": how,
        "first_serial": 1 if answering else None,
        "last_serial": 2 if answering else None,
    }


clients = st.fixed_dictionaries(
    {
        "last_seen": st.none() | moments,
        "reuse_seen_at": st.none() | moments,
        "duplicate_identity_at": st.sampled_from((None, None, None, BASE)),
        "ranges": ranges,
        # Also several equal requests in a row, which mark or silence a client or double the wait.
        "requests": st.lists(requests(), max_size=6)
        | st.tuples(requests(), st.integers(3, 6)).map(lambda one: [one[0]] * one[1]),
        "answers": st.booleans(),
    }
)


def write(tables: Tables, found: list[dict[str, Any]]) -> None:
    """Write the rows that such a history would have left."""
    tables.truncate()
    run = tables.connection.execute
    for number, one in enumerate(found, 1):
        client = UUID(int=number, version=4)
        run(
            "INSERT INTO client (client_id, highest_serial, last_seen, reuse_seen_at, "
            "duplicate_identity_at, first_seen) VALUES (%s, 9, %s, %s, %s, %s)",
            [
                client,
                *(one[c] for c in ("last_seen", "reuse_seen_at", "duplicate_identity_at")),
                BASE,
            ],
        )
        for at, (detected_at, merged, closed) in enumerate(one["ranges"], 1):
            closing = (detected_at + HOUR, "arrived") if closed == 2 else (None, None)
            run(
                "INSERT INTO missing_message_range (client_id, first_serial, last_serial, merged, "
                "detected_at, closed_at, closed_how) VALUES (%s, %s, %s, %s, %s, %s, %s)",
                [client, at, at, merged, detected_at, *closing],
            )
        for turn, request in enumerate(one["requests"]):
            row = {**request, "client_id": client, "request_id": uuid4()}
            # Equal requests are some minutes apart.
            for name in ("requested_at", "sent_at", "closed_at"):
                if row[name] is not None:
                    row[name] += 7 * turn * MINUTE
            run(
                f"INSERT INTO resync_request ({', '.join(row)}) "
                f"VALUES ({', '.join(f'%({name})s' for name in row)})".encode(),
                row,
            )
        if one["answers"]:
            run(
                "INSERT INTO state_message (client_id, serial, digest, topic_type, topic_id, "
                "user_name, user_sid, state_id, criticality, message_time, params, report_date, "
                "received_at, smx_id, batch_id, loaded_at) VALUES (%s, 1, %s, 500, 't', '', '', "
                "1, 0, now(), '{}', now(), now(), gen_random_uuid(), gen_random_uuid(), %s)",
                [client, bytes(16), BASE],
            )


@pytest.fixture
def queries(database_url: str) -> Iterator[Queries]:
    with Queries.open(database_url, name="test") as found:
        yield found


@pytest.fixture
def site(database_url: str) -> Iterator[Site]:
    # If midnight has passed since the import of this module, BASE's day has no partition.
    with closing(PartitionStore(database_url, name="test")) as partitions:
        partitions.keep(retention=timedelta(days=36500), today=BASE.date())
    with Site.open(database_url) as found:
        yield found


@settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], print_blob=True
)
@given(
    found=st.lists(clients, min_size=1, max_size=3),
    times=st.lists(moments, min_size=1, max_size=3, unique=True),
)
def test_all_readers_and_the_duty_agree_on_every_client_at_any_moment(
    found: list[dict[str, Any]],
    times: list[datetime],
    site: Site,
) -> None:
    write(site.tables, found)
    for now in sorted(times):
        site.check_agrees(now)
        site.send(now)


def test_the_site_begins_with_the_defaults_of_the_settings(
    open_resyncs: Callable[..., ResyncStore],
) -> None:
    assert open_resyncs(min_age=None, merge=None).rules() == RULES


def test_the_loader_that_starts_last_decides_for_the_site(
    open_resyncs: Callable[..., ResyncStore], queries: Queries
) -> None:
    store = open_resyncs(min_age=None, merge=None)
    one = RunningLoader.here(RULES._replace(resyncs_per_check=7))
    other = RunningLoader.here(RULES)
    assert [store.site.start(who) for who in (one, one, other)] == [True, False, True]
    assert store.rules() == queries.rules() == RULES
    assert queries.rules_written()[:2] == ("loader", other.name)
    store.site.seen(one)
    assert sorted(row.rules["resyncs_per_check"] for row in queries.loaders()) == ["500", "7"]
    store.site.leave(one)
    assert [row.rules for row in queries.loaders()] == [RULES.as_text()]


def test_a_site_without_its_row_says_so_until_a_loader_starts(
    open_resyncs: Callable[..., ResyncStore], queries: Queries, tables: Tables
) -> None:
    store = open_resyncs(min_age=None, merge=None)
    tables.connection.execute("DELETE FROM site")
    for read in (store.rules, queries.rules):
        with pytest.raises(SchemaMissing, match="lost its row"):
            read()
    store.site.start(RunningLoader.here(RULES))
    assert store.rules() == RULES
