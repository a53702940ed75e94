"""What workers tell each other: heartbeats and the quarantine, read without trust."""

import json
from contextlib import suppress
from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.counts import Counts
from schemas.errors import Refused
from schemas.quarantine import MAX_QUARANTINED, parse_quarantine, render_quarantine
from schemas.workers import Counters, Role, WorkerHeartbeat, parse_heartbeat, render_heartbeat

words = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)
counts = st.integers(0, 2**63 - 1)
heartbeats = st.builds(
    WorkerHeartbeat,
    worker_id=st.uuids(),
    role=st.sampled_from(Role),
    host=words,
    pid=st.integers(0, 2**31 - 1),
    version=words,
    started_at=st.datetimes(timezones=st.just(UTC)).filter(lambda at: 1970 <= at.year <= 2200),
    uptime=st.floats(0, 1e9),
    ended=st.booleans(),
    settings=st.dictionaries(st.from_regex(r"[a-z][a-z0-9_]{0,30}", fullmatch=True), words),
    counters=st.builds(Counters, *[counts] * len(Counters._fields)),
    counts=st.dictionaries(st.from_regex(r"[a-z][a-z0-9_.]{0,30}", fullmatch=True), counts).map(
        Counts
    ),
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(heartbeats)
def test_a_heartbeat_is_read_as_it_was_written(heartbeat: WorkerHeartbeat) -> None:
    assert parse_heartbeat(render_heartbeat(heartbeat)) == heartbeat


@given(st.binary())
def test_no_bytes_raise_anything_but_a_refusal(body: bytes) -> None:
    for parse in (parse_heartbeat, parse_quarantine):
        with pytest.raises(Refused):
            parse(body)


@given(heartbeat=heartbeats, name=st.sampled_from(WorkerHeartbeat._fields), value=values)
def test_no_value_in_a_heartbeat_raises_anything_but_a_refusal(
    heartbeat: WorkerHeartbeat, name: str, value: Any
) -> None:
    changed = json.loads(render_heartbeat(heartbeat)) | {name: value}
    with suppress(Refused):
        found = parse_heartbeat(json.dumps(changed).encode())
        # What is read can be stored and printed.
        assert "\0" not in f"{found.host}{found.version}{found.settings}"
        assert all(0 <= count < 2**63 for count in (*found.counters, *found.counts.values()))
        assert all(name.isprintable() for name in found.counts)


@given(st.frozensets(st.uuids(), max_size=20))
def test_a_quarantine_is_read_as_it_was_written(clients: frozenset[Any]) -> None:
    body = render_quarantine(clients)
    assert parse_quarantine(body) == clients
    assert render_quarantine(sorted(clients, reverse=True)) == body


@given(values)
def test_no_value_in_a_quarantine_raises_anything_but_a_refusal(value: Any) -> None:
    for whole in (value, {"clients": value}, {"clients": [value]}):
        with suppress(Refused):
            assert all(client.hex for client in parse_quarantine(json.dumps(whole).encode()))


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"clients": ["x"]}',
        b'{"clients": "f1b03089-9ea1-4a64-83dc-5f8e77bddeb4"}',
        b'{"clients": [' + b"9" * 5000 + b"]}",
        json.dumps({"clients": [f"{n:032x}" for n in range(MAX_QUARANTINED + 1)]}).encode(),
        b'{"clients": []' + b" " * 2**20 + b"}",
    ],
    ids=range(6),
)
def test_a_list_that_is_none_or_too_long_is_refused(body: bytes) -> None:
    with pytest.raises(Refused):
        parse_quarantine(body)
