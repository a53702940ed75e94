"""A reader: a process that ends with its loader."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from loader import reader as module
from loader.chunk import divide, messages_in, read_items
from loader.prepare import stage
from loader.reader import Reader, Rows
from schemas.canonical import read_batch
from schemas.errors import Refused, StatesysError
from schemas.refusal import Reason
from schemas.smx_text import SmxText
from tests.support.processes import Program, batch, fill, ready
from tests.support.waiting import wait_until
from tests.support.world import message, report

BODIES = [batch(report(message(1), message(2))), b"<no>", batch(report(message(3)))]


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children()}


def unseen(pid: int, seen: set[int]) -> set[int]:
    """Threads of a process, without its first and those in `seen`."""
    return {thread.id for thread in psutil.Process(pid).threads()} - {pid} - seen


class Started(NamedTuple):
    """A reader and its process id."""

    reader: Reader
    pid: int


@pytest.fixture
def started() -> Iterator[Started]:
    before = children()
    reader = Reader(chunk_bytes=1 << 20)
    reader.start()
    (pid,) = children() - before
    yield Started(reader, pid)
    reader.close()
    assert children() == before


def read_texts(body: bytes, _origin: int) -> list[SmxText]:
    return read_batch(body)


def test_rows_and_refusals_are_those_of_this_process(started: Started) -> None:
    read = started.reader.read(BODIES)
    (chunk,) = divide(BODIES, 1 << 20, read_texts).chunks
    assert read.chunks == [Rows(stage(chunk).lines, 3, {500: 3}, {"2026-03-01T08:00:00": 3})]
    ((at, refusal),) = read.refused.items()
    assert (at, refusal.reason) == (1, Reason.NOT_WELL_FORMED)
    assert isinstance(refusal, Refused)
    assert refusal.detail


def test_values_are_divided_as_their_texts_are() -> None:
    """The loader reads batches again to find poison; the chunks are then the same as before."""
    told = [message(n, topic="\u2603" * n)._replace(details="d" * 40 * n) for n in range(1, 40)]
    large = batch(*map(report, told))
    for chunk_bytes in (1, 1000, 2000, 5000, 1 << 20):
        texts = divide([large, BODIES[0]], chunk_bytes, read_texts)
        values = divide([large, BODIES[0]], chunk_bytes, read_items)
        assert [[item.smx_text for item in chunk] for chunk in values.chunks] == texts.chunks
        assert [messages_in(chunk) for chunk in values.chunks] == list(
            map(messages_in, texts.chunks)
        )


def test_nothing_to_read_is_nothing(started: Started) -> None:
    assert started.reader.read([]) == ([], {})


def test_a_reader_ends_when_it_is_closed_also_beside_others() -> None:
    before = children()
    readers = [Reader(chunk_bytes=1000) for _ in range(3)]
    for one in readers:
        one.start()
    assert len(children() - before) == 3
    for one in readers:
        one.close()
        one.close()
    assert children() == before


def test_a_reader_that_was_never_started_can_be_closed() -> None:
    Reader(chunk_bytes=1000).close()


def test_a_reader_that_dies_is_an_error_that_says_so(started: Started) -> None:
    os.kill(started.pid, signal.SIGKILL)
    with pytest.raises(StatesysError, match=r"exit code -9.*start the loader again") as told:
        started.reader.read(BODIES)
    # Nothing keeps the buffer of the refused send, which Python 3.13 cannot close later.
    assert told.value.__context__ is None


def test_a_reader_that_hangs_with_a_full_pipe_is_ended(started: Started) -> None:
    psutil.Process(started.pid).suspend()
    with ThreadPoolExecutor(1) as pool:
        # Larger than a pipe's buffer.
        read = pool.submit(started.reader.read, [b"x" * (1 << 22)])
        wait_until(started.reader._reading.locked, what="the reading")
        started.reader.close()
        with pytest.raises(StatesysError, match="exit code -9"):
            read.result()


def test_a_loader_that_is_killed_while_a_batch_is_read_leaves_no_traceback() -> None:
    program = (
        "import os, signal\n"
        "from loader import reader as module\n"
        "divide = module.divide\n"
        "def killed(*args):\n"
        "    os.kill(os.getppid(), signal.SIGKILL)\n"
        "    return divide(*args)\n"
        "module.divide = killed\n"
        "reader = module.Reader(1000)\n"
        "reader.start()\n"
        "reader.read([b'<no>'])\n"
    )
    # `run` returns at the end of standard error, which comes only when the reader has ended too.
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (-signal.SIGKILL, b"")


def test_signals_to_the_whole_group_are_meant_for_the_loader(started: Started) -> None:
    assert started.reader.read(BODIES).chunks
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(started.pid, number)
    assert started.reader.read(BODIES).chunks


def test_a_reader_renews_its_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    # One byte, so that the reader renews its thread after each reading.
    monkeypatch.setattr(module, "RENEW_AFTER", 1)
    before = children()
    reader = Reader(chunk_bytes=1 << 20)
    reader.start()
    (pid,) = children() - before
    seen: set[int] = set()
    for _ in range(5):
        seen |= wait_until(partial(unseen, pid, seen), what="another thread")
        assert reader.read(BODIES).chunks
    reader.close()


@pytest.mark.usefixtures("tables")
def test_readers_end_with_a_loader_that_is_killed(
    amqp_url: str, database_url: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with Program(
        log, "loader", "run", "--threads", "3", amqp_url=amqp_url, database_url=database_url
    ) as program:
        program.await_event("loader.consuming")
        readers = psutil.Process(program.process.pid).children()
        assert len(readers) == 3
        program.send(signal.SIGKILL)
        program.end()
    assert psutil.wait_procs(readers, timeout=30)[1] == []


@pytest.mark.usefixtures("tables")
def test_a_loader_whose_reader_dies_ends_and_says_so(
    amqp_url: str, database_url: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with Program(
        log, "loader", "run", "--threads", "1", amqp_url=amqp_url, database_url=database_url
    ) as program:
        program.await_event("loader.consuming")
        (reader,) = psutil.Process(program.process.pid).children()
        reader.kill()
        fill(amqp_url, [batch(report(message(1)))])
        assert program.end() == 1
    assert "start the loader again" in program.text
    assert "Traceback" not in program.text
    assert ready(amqp_url) == 1
