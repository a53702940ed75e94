"""The durable store: its lock, its errors, and what other processes read."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from producers.client import Client, answer, forward
from producers.faults import Publish
from producers.store import Store, StoreReader
from producers.store.reading import FILE, VERSION
from schemas.errors import StatesysError
from schemas.report import StateMessage
from schemas.resync import ResyncReason, ResyncRequest
from tests.support.fleet_strategies import NOW, a_state
from tests.support.stores import OpenStore


def a_client(store: Store, number: int = 0) -> Client:
    ((client, _cycle),) = store.clients_between(number, number + 1)
    return client


def send(store: Store, *messages: StateMessage, number: int = 0, held: int = 0) -> None:
    with store.changes(NOW) as changes:
        client = a_client(store, number)
        for report in forward(client, messages, NOW):
            changes.forward(client, report, [Publish(report.body, held)])


@contextmanager
def refused(words: str) -> Iterator[None]:
    with pytest.raises(StatesysError, match=words):
        yield


def test_a_new_store_has_clients_from_its_seed(tmp_path: Path) -> None:
    def ids(name: str, seed: int) -> list[UUID]:
        with Store(tmp_path / name, seed=seed, clients=20, now=NOW) as store:
            return [client.client_id for client in store.clients()]

    assert ids("a", 1) == ids("b", 1)
    assert not set(ids("a", 1)) & set(ids("c", 2))


def test_two_stores_of_one_seed_have_reply_queues_of_their_own(tmp_path: Path) -> None:
    with (
        Store(tmp_path / "a", seed=1, clients=1, now=NOW) as one,
        Store(tmp_path / "b", seed=1, clients=1, now=NOW) as other,
    ):
        assert one.store_id != other.store_id


def test_a_fleet_grows_and_never_shrinks(open_owned: OpenStore) -> None:
    open_owned(clients=5).close()
    assert open_owned(clients=None).totals().clients == 5


def test_a_fleet_grows_by_the_clients_it_would_have_had(
    open_owned: OpenStore, tmp_path: Path
) -> None:
    open_owned(clients=2).close()
    grown = list(open_owned(clients=9).clients())

    with Store(tmp_path / "other", seed=1, clients=9, now=NOW) as whole:
        assert list(whole.clients()) == grown


def test_one_process_owns_a_store(store: Store, open_owned: OpenStore) -> None:
    with refused(r"in use by process \d+; stop that one"):
        open_owned()
    store.close()
    open_owned()


def test_another_seed_is_another_fleet(open_owned: OpenStore) -> None:
    open_owned(seed=1).close()
    with refused("was made with seed 1, not 2"):
        open_owned(seed=2)


def test_there_is_no_store_to_read_before_one_is_made(tmp_path: Path) -> None:
    with refused("there is no fleet in"):
        StoreReader(tmp_path)


def test_a_directory_that_cannot_be_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with refused("no fleet can live in .*: Not a directory"):
        Store(tmp_path / "file" / "fleet", seed=None, clients=1, now=NOW)


def test_a_file_that_is_no_store_is_said_so(directory: Path) -> None:
    directory.mkdir()
    (directory / "fleet.sqlite3").write_bytes(b"not a database at all" * 100)
    with refused("cannot be read as a fleet's store"):
        StoreReader(directory)


@pytest.mark.parametrize("make", ["CREATE TABLE fleet (only_theirs)", "CREATE TABLE t (x)"])
def test_a_database_of_another_program_is_no_store(directory: Path, make: str) -> None:
    directory.mkdir()
    with closing(sqlite3.connect(directory / FILE)) as theirs:
        theirs.execute(make)
        theirs.execute(f"PRAGMA user_version = {VERSION}")
    with refused("cannot be read as a fleet's store"):
        StoreReader(directory)
    with refused("cannot be read as a fleet's store"):
        Store(directory, seed=None, clients=1, now=NOW)


def test_a_store_of_another_version_is_not_touched(store: Store, directory: Path) -> None:
    store.close()
    with sqlite3.connect(directory / "fleet.sqlite3") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with refused("a store of version 99"):
        StoreReader(directory)


def test_others_read_while_the_owner_writes(store: Store, directory: Path) -> None:
    with StoreReader(directory) as reader:
        send(store, a_state("a"), a_state("b"))

        assert [(m.serial, len(m.digest)) for m in reader.sent()] == [(1, 16), (2, 16)]
        assert [(s.topic_id, s.serial) for s in reader.states()] == [("a", 1), ("b", 2)]
        assert [(r.first_serial, r.last_serial) for r in reader.outbox_ranges()] == [(1, 2)]
        assert {c.last_serial for c in reader.clients()} == {0, 2}
        assert reader.totals()[:4] == (3, 1, 2, 0)


def test_a_reader_reads_a_store_that_nobody_owns(store: Store, directory: Path) -> None:
    send(store, a_state("a"))
    store.close()
    with StoreReader(directory) as reader:
        assert [m.serial for m in reader.sent()] == [1]


def test_a_snapshot_is_of_one_moment(store: Store, directory: Path) -> None:
    with StoreReader(directory) as reader:
        with reader.snapshot():
            assert not list(reader.sent())
            send(store, a_state())
            assert not list(reader.sent())
        assert list(reader.sent())


def test_a_reader_writes_nothing(store: Store, directory: Path) -> None:
    with (
        StoreReader(directory) as reader,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        reader._connection.execute("DELETE FROM client")
    assert store.totals().clients == 3


def test_clients_and_messages_come_in_the_order_of_the_ids(store: Store) -> None:
    for number in (2, 0, 1):
        send(store, a_state("a"), a_state("b"), number=number)

    ids = [client.client_id for client in store.clients()]
    assert ids == sorted(ids, key=lambda client_id: client_id.bytes)
    assert [(m.client_id, m.serial) for m in store.sent()] == [(i, s) for i in ids for s in (1, 2)]
    assert [s.client_id for s in store.states()] == [i for i in ids for _ in range(2)]
    assert [m.serial for m in store.sent(ids[1])] == [1, 2]
    assert {s.client_id for s in store.states(ids[1])} == {ids[1]}


def test_a_serial_is_never_given_twice(store: Store) -> None:
    send(store, a_state("a"))
    before = a_client(store)._replace(last_serial=0)
    (report,) = forward(before, [a_state("b")], NOW)

    with pytest.raises(sqlite3.IntegrityError), store.changes(NOW) as changes:
        changes.forward(before, report)

    assert [m.serial for m in store.sent()] == [1]
    assert len(store.outgoing_after(0, 10)) == 1


def test_a_counter_never_goes_back(store: Store) -> None:
    send(store, a_state("a"), a_state("b"))
    with pytest.raises(sqlite3.IntegrityError, match="never goes back"):
        store._connection.execute("UPDATE client SET last_serial = 1 WHERE number = 0")


def test_what_was_rendered_is_in_the_outbox_after_a_crash(
    store: Store, open_owned: OpenStore
) -> None:
    send(store, a_state("a"))
    rendered = store.outgoing_after(0, 10)
    store.close()

    assert open_owned().outgoing_after(0, 10) == rendered


def test_what_was_not_committed_never_happened(store: Store) -> None:
    def die_before_the_commit() -> None:
        with store.changes(NOW) as changes:
            client = a_client(store)
            for report in forward(client, [a_state()], NOW):
                changes.forward(client, report)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        die_before_the_commit()

    assert a_client(store).last_serial == 0
    assert not list(store.sent())
    assert store.outbox_is_empty()


def test_a_position_of_the_outbox_is_never_used_again(store: Store) -> None:
    send(store, a_state("a"))
    (first,) = store.outgoing_after(0, 10)
    store.delete_confirmed([first.position])
    send(store, a_state("b"))

    (second,) = store.outgoing_after(first.position, 10)
    assert second.first_serial == 2


def test_a_held_report_goes_after_the_newer_ones(store: Store) -> None:
    send(store, a_state("a"), held=2)
    send(store, a_state("b"))
    send(store, a_state("c"), number=1)
    assert [(r.held) for r in store.outbox_ranges()] == [True, False, False]
    send(store, a_state("d"))

    going = store.outgoing_after(0, 10)
    assert [(r.client_id == a_client(store).client_id, r.first_serial) for r in going] == [
        (True, 2),
        (False, 1),
        (True, 3),
        (True, 1),
    ]


def test_held_reports_are_released_at_the_end(store: Store) -> None:
    send(store, a_state("a"), held=3)
    assert store.outgoing_after(0, 10) == []
    assert not store.outbox_is_empty()

    store.release_held()

    assert [r.first_serial for r in store.outgoing_after(0, 10)] == [1]


def test_a_request_counts_as_answered_after_a_restart(store: Store, open_owned: OpenStore) -> None:
    client = a_client(store)
    request = ResyncRequest(uuid4(), client.client_id, ResyncReason.MISSING, 10, NOW)
    with store.changes(NOW) as changes:
        changes.answer(client, request.request_id, answer(client, request, [a_state()], NOW))
    store.close()

    store = open_owned()
    assert store.was_answered(client, request.request_id)
    assert not store.was_answered(client, uuid4())
    assert [(a.first_serial, a.last_serial) for a in store.answers()] == [(11, 12)]


def test_states_keep_all_their_values(store: Store) -> None:
    rich = a_state("kb")._replace(
        user_name="EXAMPLE\\ü",
        user_sid="S-1",
        id_type=None,
        params=("a", "", "<&>"),
        details="<x/>",
        details_type="text/xml",
    )
    with store.changes(NOW) as changes:
        changes.record(a_client(store), [rich])

    assert store.unsent_between(0, 3) == {0: [rich]}
    assert store.states_of(a_client(store)) == [rich]
    assert [(s.serial, s.digest) for s in store.states()] == [(None, None)]


def test_a_store_that_cannot_be_written_is_told_in_a_sentence(store: Store) -> None:
    store._connection.execute("PRAGMA max_page_count = 1")
    with refused("the fleet's store cannot be written: database or disk is full"):
        send(store, a_state("big")._replace(details="x" * 1_000_000))
    assert not list(store.sent())
