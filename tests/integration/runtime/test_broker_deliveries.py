"""Deliveries cut out of the buffer are those that pika would have read from it."""

import struct
from typing import Any, NamedTuple

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from pika.adapters.utils.io_services_utils import _AsyncTransportBase
from pika.channel import ContentFrameAssembler
from pika.connection import Connection
from pika.exceptions import InvalidFrameError
from pika.frame import Body, Header, Heartbeat, Method
from pika.spec import Basic

from runtime.broker import Administration, Delivery, Properties, Session, persistent
from runtime.broker import deliveries as cutting
from runtime.broker.deliveries import Cut, Incomplete, cut, known
from runtime.broker.properties import ReceivedProperties
from schemas.topology import DEAD
from tests.support.waiting import wait_until

#: pika's connection, whose private functions have no type stubs.
PIKA: Any = Connection


class Message(NamedTuple):
    """What a consumer receives."""

    consumer: str
    tag: int
    redelivered: bool
    message_id: object
    headers: object
    body: bytes


class Assembled:
    """The messages that pika's own code reads from frames, without a socket."""

    def __init__(self) -> None:
        self._frame_buffer = b""
        self.bytes_received = 0
        self.messages: list[Message] = []
        self.others: list[str] = []
        self._assembler = ContentFrameAssembler()

    _read_frame = PIKA._read_frame
    _trim_frame_buffer = PIKA._trim_frame_buffer

    def _process_frame(self, frame: Any) -> None:
        content = isinstance(frame, Header | Body) or (
            isinstance(frame, Method) and isinstance(frame.method, Basic.Deliver)
        )
        if not content:
            self.others.append(repr(frame))
            return
        whole: Any = self._assembler.process(frame)
        if whole is not None:
            method, header, body = whole[0].method, whole[1], whole[2]
            self.messages.append(
                Message(
                    method.consumer_tag,
                    method.delivery_tag,
                    bool(method.redelivered),
                    header.properties.message_id,
                    header.properties.headers,
                    body,
                )
            )

    def taken(self, found: Cut) -> bool:
        """Take deliveries with an odd tag; pika's own code reads the others."""
        if found.delivery_tag % 2 == 0:
            return False
        properties = ReceivedProperties().decode(found.properties)
        self.messages.append(
            Message(
                found.consumer_tag.decode(),
                found.delivery_tag,
                found.redelivered,
                properties.message_id,
                properties.headers,
                found.body,
            )
        )
        return True


def pikas(pieces: list[bytes]) -> Assembled:
    found: Any = Assembled()
    for piece in pieces:
        PIKA._on_data_available(found, piece)
    return found  # type: ignore[no-any-return]


def ours(pieces: list[bytes]) -> Assembled:
    found = Assembled()
    read = cutting._Reader(found, found.taken)
    for piece in pieces:
        read(piece)
    return found


def delivery(
    consumer: str, tag: int, redelivered: bool, body: bytes, frame_size: int, beat: bool
) -> bytes:
    """The frames of a delivery; with `beat` a heartbeat stands between the last two."""
    properties = Properties(message_id=f"m{tag}", headers={"serial": tag % 1000})
    method = Basic.Deliver(consumer, tag, redelivered, "", "queue")
    frames = [Method(1, method), Header(1, len(body), properties)]
    frames += [Body(1, body[i : i + frame_size]) for i in range(0, len(body), frame_size)]
    encoded = [frame.marshal() for frame in frames]
    if beat:
        encoded.insert(-1, Heartbeat().marshal())
    return b"".join(encoded)


FRAMES = st.one_of(
    st.builds(
        delivery,
        st.sampled_from(["ctag1.0", "ctag1.1", "x" * 255]),
        st.integers(1, 2**63 - 1),
        st.booleans(),
        # Bodies that look like a frame's end or a delivery's beginning.
        st.binary(max_size=200) | st.sampled_from([b"\xce" * 9, b"\x01\x00\x01\x00\x3c\x00\x3c"]),
        st.integers(1, 90),
        st.booleans(),
    ),
    st.just(Heartbeat().marshal()),
    st.builds(lambda tag: Method(1, Basic.Ack(tag)).marshal(), st.integers(1, 9)),
    st.just(Method(1, Basic.CancelOk("ctag1.0")).marshal()),
)


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    stream = b"".join(draw(st.lists(FRAMES, min_size=1, max_size=8)))
    borders = sorted(draw(st.lists(st.integers(1, max(1, len(stream) - 1)), max_size=12)))
    return [stream[a:b] for a, b in zip([0, *borders], [*borders, len(stream)], strict=True)]


@given(streams())
def test_whatever_the_socket_gives_at_a_time_the_same_comes_out(pieces: list[bytes]) -> None:
    pieces = [piece for piece in pieces if piece]
    expected, found = pikas(pieces), ours(pieces)
    assert found.messages == expected.messages
    assert found.others == expected.others
    assert found.bytes_received == expected.bytes_received == sum(map(len, pieces))


def test_what_pika_had_begun_to_read_is_not_lost() -> None:
    stream = delivery("c", 7, False, b"body", 90, False)
    found = Assembled()
    found._frame_buffer = stream[:20]
    cutting._Reader(found, found.taken)(stream[20:])
    assert [message.tag for message in found.messages] == [7]


def test_a_large_body_is_joined_once() -> None:
    stream = delivery("c", 7, False, b"x" * 100_000, 4096, False)
    with pytest.raises(Incomplete) as incomplete:
        cut(stream[:2000], 0)
    assert 100_000 < incomplete.value.size <= len(stream)


@pytest.mark.parametrize("at", ["method", "header", "body"])
def test_a_frame_without_its_end_is_an_error_as_in_pika(at: str) -> None:
    method = Method(1, Basic.Deliver("c", 7, False, "", "q")).marshal()
    header = Header(1, 4, Properties()).marshal()
    body = Body(1, b"body").marshal()
    ends = {
        "method": len(method) - 1,
        "header": len(method + header) - 1,
        "body": len(method + header + body) - 1,
    }
    broken = bytearray(method + header + body)
    broken[ends[at]] = 0
    with pytest.raises(InvalidFrameError):
        ours([bytes(broken)])


def test_a_body_longer_than_was_said_is_left_to_pika() -> None:
    frames = [
        Method(1, Basic.Deliver("c", 7, False, "", "q")),
        Header(1, 3, Properties()),
        Body(1, b"four"),
    ]
    assert cut(b"".join(frame.marshal() for frame in frames), 0) is None


def test_a_delivery_on_two_channels_is_left_to_pika() -> None:
    frames = [Method(1, Basic.Deliver("c", 7, False, "", "q")), Header(2, 0, Properties())]
    assert cut(b"".join(frame.marshal() for frame in frames), 0) is None


def test_content_of_another_class_is_left_to_pika() -> None:
    method = Method(1, Basic.Deliver("c", 7, False, "", "q")).marshal()
    header = struct.pack(">BHIHHQHB", 2, 1, 14, 61, 0, 0, 0, 0xCE)
    assert cut(method + header, 0) is None


def test_this_pika_is_known() -> None:
    assert known()


def consumed(session: Session, count: int) -> list[Delivery]:
    found: list[Delivery] = []

    def enough() -> bool:
        found.extend(event for event in session.poll(0.05) if isinstance(event, Delivery))
        return len(found) >= count

    wait_until(enough, what=f"{count} deliveries")
    return found


#: Bytes: around the size of a frame, 128 KiB, and more than one read returns.
SIZES = [0, 1, 131_063, 131_064, 131_065, 262_144, 5_000_000]


def test_bodies_of_any_size_arrive_whole(amqp_url: str, admin: Administration) -> None:
    bodies = [bytes([n]) * size for n, size in enumerate(SIZES)]
    for body in bodies:
        admin.publish(routing_key=DEAD, body=body, properties=persistent())
    session = Session(amqp_url, name="test cutting")
    session.consume(DEAD, prefetch=10)
    assert [d.body for d in consumed(session, len(bodies))] == bodies
    session.close()


def test_a_pika_that_is_not_known_goes_its_own_way_with_a_warning(
    amqp_url: str, admin: Administration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cutting, "known", lambda: False)
    admin.publish(routing_key=DEAD, body=b"b", properties=persistent(message_id="m"))
    with structlog.testing.capture_logs() as lines:
        session = Session(amqp_url, name="test cutting")
    assert [line["event"] for line in lines] == ["broker.pika_unknown"]
    session.consume(DEAD, prefetch=10)
    (found,) = consumed(session, 1)
    assert (found.body, found.properties.message_id) == (b"b", "m")
    session.close()


@pytest.mark.parametrize("name", ["_on_data_available", "_consume"])
def test_another_way_of_reading_is_noticed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def other(self: object) -> None:
        """Read in some other way."""

    owner: object = {"_on_data_available": Connection, "_consume": _AsyncTransportBase}[name]
    monkeypatch.setattr(owner, name, other)
    assert not known()


def test_what_comes_for_a_cancelled_consumer_is_given_back(
    amqp_url: str, admin: Administration
) -> None:
    for n in range(30):
        admin.publish(routing_key=DEAD, body=bytes([n]), properties=persistent())
    session = Session(amqp_url, name="test cutting")
    session.consume(DEAD, prefetch=10)
    (held, *_) = consumed(session, 1)
    session.cancel()
    session.ack(held.tag)
    wait_until(
        lambda: session.poll(0.05) is not None and (admin.depth(DEAD) or (0,))[0] >= 20,
        what="the rest to stay in the queue",
    )
    session.close()
    left = wait_until(
        lambda: (depth := admin.depth(DEAD)) and depth.ready == 29 and depth,
        what="all but the settled one to be there",
    )
    assert left
