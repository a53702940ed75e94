"""What `verify` tolerates of a client whose store was rolled back, and what not."""

from pathlib import Path
from uuid import UUID

from lab.verify.comparison import Place, Received, Row, Sent, State, compare
from lab.verify.injected import InjectedFaults
from producers.client import Client
from producers.cycles import forward_heartbeats
from producers.fleet import utc_now
from producers.store import Store, StoreReader
from schemas.serials import SerialRanges

CLIENT = UUID("aa9c5f9f-24c2-4b2a-8c4e-0a1b2c3d4e5f")
TOPIC = (500, "kb1", "")
NOTHING = SerialRanges()
FIRST, SECOND, OTHER = b"first life", b"second life", b"another"


def sent(**changes: object) -> Sent:
    """A client that gave serial 5 in two lives."""
    values = {
        "client_id": CLIENT,
        "last_serial": 5,
        "last_serial_now": 5,
        "messages": {5: SECOND},
        "former": [Row(5, FIRST)],
        "states": {},
        **changes,
    }
    return Sent(**values)  # type: ignore[arg-type]


def received(*digests: bytes, **changes: object) -> Received:
    values = {
        "accounted": SerialRanges([(1, 5)]),
        "rows": [Row(5, digest) for digest in digests],
        **changes,
    }
    return Received(**values)  # type: ignore[arg-type]


def test_both_lives_have_to_be_in_the_history() -> None:
    assert compare(sent(), received(FIRST, SECOND), NOTHING).places == {Place.LOADED: 2}
    assert compare(sent(), received(FIRST), NOTHING).altered == (5,)
    assert compare(sent(), received(SECOND), NOTHING).altered == (5,)


def test_what_was_destroyed_under_a_serial_used_twice_is_missed_by_nobody() -> None:
    ledger = sent(destroyed=frozenset({Row(5, SECOND)}))

    assert compare(ledger, received(FIRST), NOTHING).holds
    assert compare(ledger, received(OTHER), NOTHING).altered == (5,)


def test_the_end_of_a_former_life_is_missed_by_nobody_but_that_of_the_present_one_is() -> None:
    past, present = Row(5, FIRST), Row(5, SECOND)
    both = frozenset({past, present})
    nothing = Received(accounted=SerialRanges([(1, 4)]))

    found = compare(sent(destroyed=both, bygone=frozenset({past})), nothing, NOTHING)

    assert found.places == {Place.DESTROYED: 1, Place.UNACCOUNTED: 1}
    assert found.unaccounted == (5,)


def test_a_state_that_differs_is_forgiven_only_when_nobody_could_know() -> None:
    ours, theirs = {TOPIC: State(SECOND, 5)}, {TOPIC: State(FIRST, 5)}
    server = received(FIRST, SECOND, states=theirs)

    assert compare(sent(states=ours), server, NOTHING).differing == (TOPIC,)
    hidden = compare(sent(states=ours, hidden=True), server, NOTHING)
    assert hidden.holds
    assert "rolled back" in hidden.exempt
    equal = compare(sent(states=ours, hidden=True), received(FIRST, SECOND, states=ours), NOTHING)
    assert (equal.exempt, equal.equal_states) == ("", 1)
    reported = compare(sent(states=ours), received(FIRST, SECOND, duplicate_identity=True), NOTHING)
    assert reported.exempt == "two machines share this id"


def test_a_rollback_is_hidden_until_one_of_its_messages_arrives(tmp_path: Path) -> None:
    now = utc_now()

    def hidden() -> bool:
        with StoreReader(tmp_path) as reader:
            (client,) = reader.clients()
            numbered = list(reader.sent())
            injected = InjectedFaults(reader)
            destroyed = injected.destroyed(client.client_id, numbered)
            return injected.hides(client, numbered, destroyed)

    with Store(tmp_path, seed=1, clients=1, now=now) as store:
        for _ in range(3):
            forward_heartbeats(store, [0], now)
        assert not hidden()
        with store.damage(now) as damage:
            damage.wipe(only(store), "lost")
        assert hidden()
        forward_heartbeats(store, [0], now)
        with store.changes(now) as changes:
            changes.inject("loss", only(store), 1, 1)
        assert hidden()
        forward_heartbeats(store, [0], now)
        assert not hidden()


def only(store: Store) -> Client:
    ((client, _cycle),) = store.clients_between(0, 1)
    return client
