"""A block of neighbouring inputs: tried one by one, then together, then in a real database."""

import gc
import os
import random
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from loader.chunk import Item, halves, messages_in
from loader.prepare import stage_lines
from loader.store.chunks import ChunkStore
from runtime.database import PoisonError
from schemas.digest import digest
from schemas.report import Report, StateMessage
from tests.fuzz.documents import NEIGHBOURS
from tests.fuzz.laws import KINDS, made, neighbours
from tests.support.world import chunk_store

#: How many inputs of each kind are tried for ten reports.
SHARES = {"report": 10, "batch": 1, "request": 1}
#: State messages of one chunk.
_CHUNK = 300
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Failure(NamedTuple):
    """An input that broke a law."""

    kind: str
    number: int
    words: str


class Tried(NamedTuple):
    """The result of a block.

    Attributes:
        outcomes: how many inputs by kind and outcome, "read" or a reason.
        stored: state messages that the database took.
        slowest: CPU seconds of the slowest input, and its kind and number.
        process, resident: pid of this process, and the bytes of memory it holds now.
    """

    outcomes: Counter[tuple[str, str]]
    failures: list[Failure]
    stored: int
    slowest: tuple[float, str, int]
    process: int
    resident: int


def try_block(seed: int, block: int, reports: int, url: str | None) -> Tried:
    """Try the inputs of a block.

    Args:
        block: number of the block; its first input has the number `block * NEIGHBOURS`.
        reports: how many, at most NEIGHBOURS; batches and requests are added (`SHARES`).
        url: of a migrated database; None skips the database.
    """
    outcomes: Counter[tuple[str, str]] = Counter()
    failures: list[Failure] = []
    slowest = (0.0, "", 0)
    smx: list[bytes] = []
    expected: list[Report] = []
    origin: dict[UUID, tuple[str, int]] = {}
    items: list[Item] = []
    for kind, number in _inputs(block, reports):
        body = made(kind, seed, number)
        started = time.thread_time()
        try:
            outcome = KINDS[kind].law(body)
        except Exception:  # noqa: BLE001 (any exception is a finding)
            failures.append(Failure(kind, number, traceback.format_exc()))
            continue
        slowest = max(slowest, (time.thread_time() - started, kind, number))
        outcomes[kind, outcome.reason.value if outcome.reason else "read"] += 1
        if outcome.batch is None:
            continue
        if outcome.smx is not None:
            smx.append(outcome.smx)
            expected.append(outcome.batch.smx[0].report)
        # Each input has its own batch id, by which a poison or lost message leads to it.
        name = UUID(int=number << 1 | (kind == "batch"))
        origin[name] = (kind, number)
        items += [Item(name, one) for one in outcome.batch.smx]
    try:
        if smx:
            neighbours(smx, expected)
    except Exception:  # noqa: BLE001 (any exception is a finding)
        failures.append(Failure("neighbours", block, traceback.format_exc()))
    stored = 0
    if url is not None and items:
        with psycopg.connect(url, options="-c search_path=statesys -c timezone=UTC") as looking:
            stored, poison = _load(items, url, seed + block, looking)
        failures += [Failure(*origin[name], words) for name, words in poison]
    gc.collect()
    return Tried(outcomes, failures, stored, slowest, os.getpid(), resident())


def _inputs(block: int, reports: int) -> Iterator[tuple[str, int]]:
    for kind, share in SHARES.items():
        count = -(-reports * share // SHARES["report"])
        yield from ((kind, block * NEIGHBOURS + at) for at in range(count))


def _load(
    items: list[Item], url: str, seed: int, looking: psycopg.Connection[Any]
) -> tuple[int, list[tuple[UUID, str]]]:
    """Load messages in mixed chunks; return their number, and the inputs that failed."""
    random.Random(seed).shuffle(items)
    poison: list[tuple[UUID, str]] = []
    store = chunk_store(url, name="fuzz")
    try:
        for at in range(0, len(items), _CHUNK):
            poison += _halved(store, items[at : at + _CHUNK])
    finally:
        store.close()
    refused = {name for name, _ in poison}
    taken = [item for item in items if item.batch_id not in refused]
    return messages_in(taken), [*poison, *_lost(taken, looking)]


def _halved(store: ChunkStore, items: Sequence[Item]) -> Iterator[tuple[UUID, str]]:
    try:
        store.load(stage_lines([item.smx_text for item in items]))
    except PoisonError as error:
        divided = halves(items)
        if divided is None:
            yield items[0].batch_id, f"poison: {error}"
            return
        for half in divided:
            yield from _halved(store, half)


def _lost(items: Sequence[Item], looking: psycopg.Connection[Any]) -> Iterator[tuple[UUID, str]]:
    """Yield inputs with a message that the history lacks or has with other values.

    A digest covers all values of a message. It is computed from the rows, so that equal digests
    prove that the database kept all values.
    """
    history: set[tuple[UUID, int | None, bytes]] = set()
    clients = list({item.smx.report.client_id for item in items})
    fields = ", ".join(StateMessage._fields)
    for client, *values in looking.execute(
        # The column names are constants.
        f"SELECT client_id, {fields} FROM state_message WHERE client_id = ANY(%s)".encode(),
        [clients],
    ):
        message = StateMessage(*values)
        message = message._replace(params=tuple(message.params))
        history.add((client, message.serial, digest(message)))
    for item in items:
        for message in item.messages:
            if (item.smx.report.client_id, message.serial, digest(message)) not in history:
                yield item.batch_id, f"not in the history as it was sent: {message}"


def resident() -> int:
    """Bytes of memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE
