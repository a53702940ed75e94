"""Frames that wait to be sent are joined; their bytes and their order stay."""

from collections import deque
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from runtime.broker import Administration, Message, PublishOutcome, Session, persistent
from runtime.broker.writes import _PIECE, join_frames
from schemas.topology import DEAD
from tests.support.waiting import wait_until

FRAMES = st.lists(st.integers(1, 2 * _PIECE).map(lambda size: bytes([size % 251]) * size))


@given(FRAMES)
def test_the_same_bytes_go_in_fewer_pieces(frames: list[bytes]) -> None:
    connection: Any = SimpleNamespace(_transport=SimpleNamespace(_tx_buffers=deque(frames)))
    join_frames(connection)
    pieces = list(connection._transport._tx_buffers)
    assert b"".join(pieces) == b"".join(frames)
    assert all(pieces)
    assert all(len(piece) <= _PIECE for piece in pieces if piece not in frames)
    assert all(len(a) + len(b) > _PIECE for a, b in pairwise(pieces))


def test_this_pika_keeps_its_frames_where_they_are_joined(session: Session) -> None:
    for body in (b"one", b"two"):
        session.publish(Message(DEAD, body, persistent(), token=body))
    connection: Any = session._connection
    assert len(connection._transport._tx_buffers) == 6
    join_frames(connection)
    assert len(connection._transport._tx_buffers) == 1


def test_what_was_joined_arrives(session: Session, admin: Administration) -> None:
    bodies = [bytes([n]) * size for n, size in enumerate((0, 1, 70_000, 300_000, 5))]
    for body in bodies:
        session.publish(Message(DEAD, body, persistent(), token=body))
    confirmed: list[bytes] = []

    def all_confirmed() -> bool:
        events = [event for event in session.poll(0.05) if isinstance(event, PublishOutcome)]
        confirmed.extend(event.token for event in events if event.problem is None)
        return len(confirmed) == len(bodies)

    wait_until(all_confirmed, what="the confirms")
    taken = []
    while (delivery := admin.take(DEAD)) is not None:
        taken.append(delivery.body)
        admin.ack(delivery.tag)
    assert taken == bodies
