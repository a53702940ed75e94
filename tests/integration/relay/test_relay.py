"""A relay process on a real broker: what becomes of reports."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from lxml import etree

from runtime.broker import Delivery, persistent
from runtime.broker.dead_letters import DETAIL, FIRST_REFUSED_AT, QUEUE, REASON, STAGE
from schemas.report import Lane
from schemas.report_reader import parse_report
from schemas.smx import parse_batch
from schemas.topology import DEAD, INCOMING, QUEUES, REPORTS, reply_queue
from tests.support.documents import (
    BATCH_XSD,
    MALFORMED,
    SAMPLE,
    STATE,
    TOPIC,
    claim,
    message,
    report,
)
from tests.support.relays import RawProperties, RelayProcess, World, good, ids

NOT_XML = b"\x00\x01 no report"


def headers(delivery: Delivery) -> dict[str, Any]:
    """The headers of a delivery, which must have some."""
    assert delivery.properties.headers
    return dict(delivery.properties.headers)


def relay_all(world: World, directory: Path, *flags: str) -> None:
    """Run a relay until nothing is left."""
    with RelayProcess(world, directory, "--exit-when-empty", *flags) as relay:
        assert relay.end() == 0
        assert relay.events("relay.stopped")
    assert world.ready(REPORTS) == 0


def test_the_bytes_of_a_real_client_become_one_valid_batch(world: World, tmp_path: Path) -> None:
    world.publish([(SAMPLE, persistent())])
    relay_all(world, tmp_path)
    (delivery,) = world.take_all(INCOMING[Lane.NORMAL])
    BATCH_XSD.assertValid(etree.fromstring(delivery.body))
    (smx,) = parse_batch(delivery.body).smx
    assert smx.report == parse_report(SAMPLE)
    assert smx.envelope[2:] == (None, None, None)
    assert datetime.now(UTC) - smx.envelope.received_at < timedelta(minutes=5)
    assert delivery.properties.delivery_mode == 2
    assert headers(delivery)["reports"] == headers(delivery)["messages"] == 1


def test_what_the_sender_tells_in_properties_travels_along(world: World, tmp_path: Path) -> None:
    reply_to = reply_queue(UUID(int=1)).name
    properties = persistent(message_id="a<&>'\"é", timestamp=1_300_000_000, reply_to=reply_to)
    world.publish([(SAMPLE, properties)])
    relay_all(world, tmp_path)
    (smx,) = world.smx()
    assert smx.envelope.message_id == "a<&>'\"é"
    assert smx.envelope.forwarded_at == datetime.fromtimestamp(1_300_000_000, UTC)
    assert smx.envelope.reply_to == reply_to


def test_a_refused_report_lies_in_dead_byte_for_byte(world: World, tmp_path: Path) -> None:
    properties = persistent(
        message_id="m1",
        correlation_id="c1",
        content_type="application/xml",
        timestamp=1_300_000_000,
        reply_to="anything",
        headers={"client_id": "x", "messages": 1, "list": [1, "a", {"b": None}]},
    )
    body = MALFORMED + "\0".encode("utf-16-le")
    world.publish([(body, properties)])
    relay_all(world, tmp_path)
    (letter,) = world.dead()
    assert letter.body == body
    kept = letter.properties
    assert (kept.message_id, kept.correlation_id, kept.content_type) == (
        "m1",
        "c1",
        "application/xml",
    )
    assert (kept.timestamp, kept.reply_to, kept.delivery_mode) == (1_300_000_000, "anything", 2)
    found = headers(letter)
    assert (found["client_id"], found["list"]) == ("x", [1, "a", {"b": None}])
    assert (found[STAGE], found[REASON], found[QUEUE]) == (
        "relay",
        "not_well_formed",
        REPORTS,
    )
    assert "mismatch" in found[DETAIL]
    assert datetime.fromisoformat(found[FIRST_REFUSED_AT]).tzinfo


def test_of_many_good_and_bad_reports_each_ends_in_one_place(world: World, tmp_path: Path) -> None:
    accepted = good(1500)
    refused = [
        (body, persistent(message_id=f"bad {kind} {n}"))
        for n in range(100)
        for kind, body in enumerate(
            (NOT_XML, MALFORMED, report("").encode("utf-16"), b"", b"<!DOCTYPE a>")
        )
    ]
    mixed = accepted + refused
    random.Random(1).shuffle(mixed)
    world.publish(mixed)
    relay_all(world, tmp_path, "--batch-size", "16")
    assert sorted(map(str, world.relayed())) == sorted(ids(accepted))
    letters = {d.properties.message_id: d.body for d in world.dead()}
    assert letters == {p.message_id: body for body, p in refused}


def test_priority_and_resync_choose_the_queue(world: World, tmp_path: Path) -> None:
    by_lane = {
        Lane.HIGH: [report(header=f"<Priority>{p}</Priority>") for p in (0, 1)],
        Lane.NORMAL: [report(), report(header="<Priority>5</Priority>")],
        Lane.LOW: [
            report(header="<Priority>10</Priority>"),
            report(header="<Priority>0</Priority>", details=claim()),
        ],
    }
    world.publish((text.encode(), persistent()) for texts in by_lane.values() for text in texts)
    relay_all(world, tmp_path)
    assert {lane: [smx.report for smx in world.smx(lane)] for lane in Lane} == {
        lane: [parse_report(text.encode()) for text in texts] for lane, texts in by_lane.items()
    }


def test_reports_travel_in_batches_of_the_size_that_was_set(world: World, tmp_path: Path) -> None:
    world.publish(good(200))
    relay_all(world, tmp_path, "--batch-size", "8", "--linger", "1s")
    sizes = [len(delivery.body) for delivery in world.take_all(INCOMING[Lane.NORMAL])]
    assert len(sizes) > 10
    assert max(sizes) < 9 * 1024


def test_a_report_over_the_size_that_was_set_is_refused(world: World, tmp_path: Path) -> None:
    world.publish([(b" " * 5000 + report().encode(), persistent()), *good(1)])
    relay_all(world, tmp_path, "--max-report-size", "4")
    (letter,) = world.dead()
    assert headers(letter)[REASON] == "too_large"
    assert world.relayed() == ["1"]


def test_a_full_8_mib_report_of_utf_16_passes(world: World, tmp_path: Path) -> None:
    text = report(message(f"{TOPIC}{STATE}<StateDetails>{'中' * 4_190_000}</StateDetails>"))
    world.publish([(text.encode("utf-16"), persistent(message_id="1"))])
    relay_all(world, tmp_path)
    assert world.relayed() == ["1"]


def test_odd_properties_stop_nothing(world: World, tmp_path: Path) -> None:
    deep = b""
    for _ in range(3000):
        deep = b"\x00F" + len(deep).to_bytes(4, "big") + deep
    odd = [
        RawProperties(headers=b"\x01aT" + (1_700_000_000_000).to_bytes(8, "big")),
        RawProperties(headers=b"\x01aT" + b"\xff" * 8),
        RawProperties(headers=deep),
        RawProperties(headers=b"\x01aS" + (130_000).to_bytes(4, "big") + b"x" * 130_000),
        RawProperties(headers=b"\x02\xff\xfeS\x00\x00\x00\x02\xff\xfe"),
        RawProperties(headers=b"\x01aA" + (20_000).to_bytes(4, "big") + b"b\x01" * 10_000),
        RawProperties(
            headers=b"\x01aD\xff\x7f\xff\xff\xff\x01bu\xff\xff\x01cx\x00\x00\x00\x01\x00"
        ),
        persistent(headers={FIRST_REFUSED_AT: "x" * 130_000}),
        RawProperties(message_id=b"\xff\xfe\x00"),
        persistent(timestamp=2**64 - 1, message_id=""),
        persistent(message_id="a\x01b", reply_to="statesys.dead", content_encoding="gzip"),
        persistent(reply_to="amq.topic", content_type="text/html", priority=255, type="x" * 255),
        persistent(headers={STAGE: [1], FIRST_REFUSED_AT: None, "": "", "x-death": "never"}),
    ]
    world.publish([(SAMPLE, properties) for properties in odd])
    world.publish([(NOT_XML, properties) for properties in odd])
    relay_all(world, tmp_path)
    envelopes = [smx.envelope for smx in world.smx()]
    assert [e[2:] for e in envelopes] == [(None, None, None)] * len(odd)
    letters = world.dead()
    assert [letter.body for letter in letters] == [NOT_XML] * len(odd)
    assert all(headers(letter)[STAGE] == "relay" for letter in letters)


def test_a_refused_report_sends_no_copies_to_queues_of_its_choice(
    world: World, tmp_path: Path
) -> None:
    # A client may write to the exchange of reports only; the relay may write everywhere.
    victim = reply_queue(UUID(int=2))
    with world.admin() as admin:
        admin.declare([victim])
    for header in ("CC", "BCC"):
        world.publish([(NOT_XML, persistent(headers={header: [victim.name, DEAD]}))])
    relay_all(world, tmp_path)
    assert world.ready(victim.name) == 0
    assert len(world.dead()) == 2


def test_an_empty_broker_gets_its_queues_and_the_relay_ends(amqp_url: str, tmp_path: Path) -> None:
    world = World(amqp_url)
    with world.admin() as admin:
        relay_all(world, tmp_path)
        assert all(admin.depth(queue.name) for queue in QUEUES)
