"""Batches for loaders, and loaders: as processes, or in a thread of this process."""

import json
import random
import signal
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Self
from uuid import UUID, uuid4

from lab import program
from loader.service import Loader
from loader.starting import settings_at_site
from runtime.broker import (
    Administration,
    ConfirmingPublisher,
    Delivery,
    Message,
    Session,
    persistent,
)
from runtime.settings import load_settings
from schemas.report import Lane, Report
from schemas.smx import render_batch, render_smx
from schemas.topology import INCOMING, QUEUES
from tests.support.waiting import wait_until
from tests.support.world import START, message, report, smx

NORMAL = INCOMING[Lane.NORMAL]
#: Seconds that a process gets for its work or its end.
PATIENCE = 60.0
#: For heartbeat files of workers, apart from a developer's home.
_HOME = Path(tempfile.gettempdir()) / "statesys-tests"


def batch(*reports: Report) -> bytes:
    """One batch as a relay makes it."""
    return render_batch(uuid4(), "test", [render_smx(*smx(one)) for one in reports])


def fleet_reports(*, clients: int, messages: int, seed: int, per_report: int = 10) -> list[Report]:
    """Reports of a fleet, shuffled: one in ten is lost, one in ten comes twice."""
    rng = random.Random(seed)
    found: list[Report] = []
    for number in range(1, clients + 1):
        for first in range(1, messages + 1, per_report):
            fate = rng.random()
            last_of_all = first + per_report > messages
            if fate < 0.1 and not last_of_all:
                continue
            one = report(
                *[
                    message(serial, topic=f"t{serial % 50}", state=serial % 7, minute=serial)
                    for serial in range(first, min(first + per_report, messages + 1))
                ],
                client=UUID(int=number, version=4),
                date=START + timedelta(minutes=first),
            )
            found += [one, one] if fate > 0.9 else [one]
    rng.shuffle(found)
    return found


def batches_of(reports: Sequence[Report], *, size: int = 5) -> list[bytes]:
    """The reports in batches of `size`."""
    return [batch(*reports[at : at + size]) for at in range(0, len(reports), size)]


def messages_in(reports: Sequence[Report]) -> set[tuple[UUID, int]]:
    """All (client, serial) in the reports."""
    return {(one.client_id, serial) for one in reports for serial in one.serials}


def fill(amqp_url: str, bodies: Sequence[bytes], *, queue: str = NORMAL) -> None:
    """Declare all queues and publish the bodies, each confirmed."""
    with Administration(amqp_url, name="test") as admin:
        admin.declare(QUEUES)
    properties = persistent(content_type="application/xml")
    publish_all(amqp_url, (Message(queue, body, properties, None) for body in bodies))


def publish_all(amqp_url: str, messages: Iterable[Message]) -> None:
    """Publish messages, and check that the broker confirms each."""
    with closing(Session(amqp_url, name="test client")) as session:
        publisher = ConfirmingPublisher(session)
        for message in messages:
            publisher.publish(message)
        problems = [settled.problem for settled in publisher.await_outcomes(PATIENCE)]
        assert not any(problems), problems
        assert not publisher, f"{len(publisher)} are not confirmed"


def take_all(amqp_url: str, queue: str) -> list[Delivery]:
    """Take and acknowledge everything in a queue."""
    found = []
    with Administration(amqp_url, name="test") as admin:
        while (delivery := admin.take(queue)) is not None:
            admin.ack(delivery.tag)
            found.append(delivery)
    return found


def return_all(amqp_url: str, queue: str = NORMAL) -> None:
    """Deliver everything in a queue once, and let it return: all is then redelivered."""
    expected = ready(amqp_url, queue)
    session = Session(amqp_url, name="test")
    session.consume(queue, prefetch=1000)
    got = 0
    while got < expected:
        got += len(session.poll(5))
    session.close()
    wait_until(lambda: ready(amqp_url, queue) == expected, what="the messages to be back")


def ready(amqp_url: str, queue: str = NORMAL) -> int:
    """The number of messages ready in a queue."""
    with Administration(amqp_url, name="test") as admin:
        depth = admin.depth(queue)
    assert depth is not None, f"{queue} does not exist"
    return depth.ready


def make_loader(amqp_url: str, database_url: str, stop: threading.Event, **flags: Any) -> Loader:
    """Create a loader in this process."""
    settings = load_settings(home=_HOME, amqp_url=amqp_url, database_url=database_url, **flags)
    return Loader(settings_at_site(settings), stop)


def drain(amqp_url: str, database_url: str, **flags: Any) -> None:
    """Load everything in the queues, in this process."""
    make_loader(amqp_url, database_url, threading.Event(), **flags).run(exit_when_empty=True)


class Program(program.Program):
    """A `statesys` command as a process of its own, with its log as parsed events.

    Args:
        settings: for its environment, by their names.
    """

    def __init__(self, log: Path, *arguments: str, **settings: str | Path) -> None:
        super().__init__(
            *arguments, log=log, settings={"log_format": "json", "home": _HOME, **settings}
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.kill()

    @property
    def text(self) -> str:
        """All that it wrote."""
        return self.log.read_text(encoding="utf-8")

    def events(self, name: str) -> list[dict[str, Any]]:
        """Its log lines of one event."""
        # The worker may still be writing the last line.
        lines = [line for line in self.text.split("\n")[:-1] if line.startswith("{")]
        return [entry for entry in map(json.loads, lines) if entry["event"] == name]

    def await_event(self, name: str, *, holding: str = "") -> dict[str, Any]:
        """Wait for an event whose line holds a text."""

        def found() -> dict[str, Any] | None:
            alive = self.process.poll() is None
            hits = [e for e in self.events(name) if holding in json.dumps(e)]
            assert hits or alive, f"ended without {name}:\n{self.text}"
            return hits[-1] if hits else None

        entry = wait_until(found, timeout=PATIENCE, what=f"{name} {holding}")
        assert entry is not None
        return entry

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def end(self) -> int:
        """Wait for its end, and return the exit code."""
        return self.process.wait(PATIENCE)


@contextmanager
def loading(amqp_url: str, database_url: str, **flags: Any) -> Iterator[threading.Event]:
    """Run a loader in a thread until the end of the block; raise the error that ended it."""
    stop = threading.Event()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            make_loader(amqp_url, database_url, stop, **flags).run()
        except BaseException as error:  # noqa: BLE001 (raised below, in the test's thread)
            failures.append(error)

    thread = threading.Thread(target=run, name="loader under test")
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(PATIENCE)
    assert not thread.is_alive()
    if failures:
        raise failures[0]
