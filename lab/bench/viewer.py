"""`statesys bench viewer`: how long pages take on a large site, and what viewers cost the drain."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from http.client import HTTPConnection, HTTPException
from statistics import median, quantiles
from threading import Event, Semaphore
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import click

from console.output import print_json, stdout, table
from lab.bench.job import Job, WorkerSettings
from lab.bench.large_site import existing_options, large_site, somebody
from lab.bench.meter import Meter
from lab.bench.result import Result, machine
from lab.bench.runs import run_drain
from lab.bench.testbed import Testbed
from lab.program import Program
from runtime.options import json_option
from runtime.settings import load_settings
from schemas.errors import StatesysError

#: Pages and their filters. {name} and {id} are a client of the site, {tail} is the end of its name.
PAGES = (
    "/",
    "/clients",
    "/clients?condition=gaps",
    "/clients?condition=quiet&sort=seen",
    "/clients?condition=complete",
    "/clients?name={name}*",
    "/clients?name=*{tail}",
    "/clients/{id}",
    "/clients/{id}/history",
    "/clients/{id}/serials/1",
    "/topics",
    "/topics/500",
    "/topics/500?state=1",
    "/messages",
    "/messages?client={id}",
    "/messages?topic_type=500&state=1",
    "/gaps",
    "/resyncs",
    "/dead",
    "/collections",
    "/top",
    "/pipeline",
    "/api/v1/clients",
    "/api/v1/clients/{id}/why",
)
#: What a browser keeps open on a page that shows live numbers.
_STREAM = "/live"
#: Seconds that the viewer may take to start, and a page to answer.
_START, _ANSWER = 30, 60
#: Three times the standard job: a run of some seconds varies more than viewers cost.
_JOB = Job(reports=60_000)
#: Requests before the measured ones: caches and sessions are warm then.
_WARM = 2


class PageTime(NamedTuple):
    """Milliseconds of a page."""

    page: str
    median: float
    p95: float
    longest: float


class Cost(NamedTuple):
    """A drain with viewers beside one without, in the same round.

    Attributes:
        alone, watched: state messages a second.
        cpu_alone, cpu_watched: seconds of CPU of workers, servers and viewer.
        cpu_viewer: those of the viewer itself.
    """

    alone: float
    watched: float
    cpu_alone: float
    cpu_watched: float
    cpu_viewer: float

    @property
    def lost(self) -> float:
        """The share of the rate that the viewers cost."""
        return 1 - self.watched / self.alone

    @property
    def more_cpu(self) -> float:
        """What they cost in CPU, which moves less than the rate when a machine is busy."""
        return self.cpu_watched / self.cpu_alone - 1


@click.command()
@existing_options
@click.option("--runs", type=click.IntRange(2), default=20, show_default=True, help="Of each page.")
@click.option("--viewers", type=click.IntRange(1), default=20, show_default=True)
@click.option(
    "--rounds",
    type=click.IntRange(0),
    default=3,
    show_default=True,
    help="Drains with viewers, each beside one without.",
)
@json_option
def viewer(*, runs: int, viewers: int, rounds: int, as_json: bool, **existing: int) -> None:
    """Time the pages of `statesys web` on a large site, and the drain while viewers watch.

    The drains are three times the standard job on empty tables, in turns without and with
    viewers, each of which keeps a stream of live numbers open.

    \b
    Example:
      statesys bench viewer
      statesys bench viewer --existing-clients 10000 --existing-messages 200000 --rounds 1
    """
    with large_site(**existing, keep=False) as found:
        with _web(found) as (_, address):
            pages = list(_time(found, address, runs))
        costs = list(_costs(found, viewers, rounds))
    if as_json:
        print_json({"machine": machine(), "pages": pages, "viewers": viewers, "drains": costs})
        return
    rows = ((p.page, *(f"{ms:.0f}" for ms in p[1:])) for p in pages)
    columns = ("page", "ms", "p95", "longest")
    stdout().print(table(columns, rows, right=columns[1:]))
    for cost in costs:
        click.echo(
            f"drain alone {cost.alone:,.0f} messages/s, with {viewers} viewers "
            f"{cost.watched:,.0f}: {cost.lost:.1%} lost, {cost.more_cpu:.1%} more CPU, "
            f"{cost.cpu_viewer / cost.cpu_watched:.1%} of it the viewer's own"
        )
    if costs:
        click.echo(
            f"median {median(cost.lost for cost in costs):.1%} lost, "
            f"{median(cost.more_cpu for cost in costs):.1%} more CPU"
        )


@contextmanager
def _web(found: Testbed) -> Iterator[tuple[Program, tuple[str, int]]]:
    """Run the viewer; yield it with its host and port."""
    log = found.directory / "web.log"
    log.unlink(missing_ok=True)
    urls = found.servers._asdict()
    program = Program(
        *("web", "--listen", "127.0.0.1:0"), log=log, settings={"home": found.directory, **urls}
    )
    try:
        yield program, _address(program)
    finally:
        program.stop()


def _address(program: Program) -> tuple[str, int]:
    until = time.monotonic() + _START
    while time.monotonic() < until:
        program.check()
        for line in program.log.read_text(encoding="utf-8").splitlines():
            parts = urlsplit(line.strip())
            if parts.scheme == "http" and parts.hostname and parts.port:
                return parts.hostname, parts.port
        time.sleep(0.05)
    raise StatesysError(f"the viewer did not start within {_START} s")


def _time(found: Testbed, address: tuple[str, int], runs: int) -> Iterator[PageTime]:
    name, client_id = somebody(found.servers.database_url)
    for page in PAGES:
        path = page.format(name=quote(name), id=client_id, tail=quote(name[-3:]))
        found.show(f"asking: {path}")
        for _ in range(_WARM):
            _get(address, path)
        took = [_get(address, path) * 1000 for _ in range(runs)]
        yield PageTime(page, median(took), quantiles(took, n=20)[-1], max(took))


def _get(address: tuple[str, int], path: str) -> float:
    """Read a page and return its seconds.

    Raises:
        StatesysError: the answer is an error.
    """
    connection = HTTPConnection(*address, timeout=_ANSWER)
    try:
        started = time.monotonic()
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        seconds = time.monotonic() - started
    finally:
        connection.close()
    if answer.status != 200:
        raise StatesysError(f"{path}: {answer.status} {body[-300:].decode(errors='replace')}")
    return seconds


def _costs(found: Testbed, viewers: int, rounds: int) -> Iterator[Cost]:
    settings = load_settings()
    workers = WorkerSettings(settings.threads, settings.loader_chunk_size)
    run: Callable[..., Result] = partial(run_drain, found, _JOB, workers)
    watched_run = partial(run, meanwhile=partial(_watched, found, viewers))
    for turn in range(rounds):
        # Who goes first changes, so what the second of two runs gains or loses falls out.
        if turn % 2:
            watched, alone = watched_run(), run()
        else:
            alone, watched = run(), watched_run()
        yield Cost(
            alone.messages_per_second,
            watched.messages_per_second,
            sum(alone.cpu.values()),
            sum(watched.cpu.values()),
            watched.cpu["viewer"],
        )


@contextmanager
def _watched(found: Testbed, viewers: int, meter: Meter) -> Iterator[None]:
    """Inside, so many viewers watch; the meter counts what serving them takes."""
    with _web(found) as (program, address), _watching(address, viewers):
        meter.watch("viewer", program.process.pid)
        yield


@contextmanager
def _watching(address: tuple[str, int], viewers: int) -> Iterator[None]:
    """Keep streams of live numbers open, and read them; each has begun when this yields."""
    stop, begun = Event(), Semaphore(0)
    with ThreadPoolExecutor(viewers, "viewer") as pool:
        for _ in range(viewers):
            pool.submit(_read_stream, address, stop, begun.release)
        try:
            for _ in range(viewers):
                if not begun.acquire(timeout=_ANSWER):
                    raise StatesysError(f"the viewer sent no live numbers within {_ANSWER} s")
            yield
        finally:
            stop.set()


def _read_stream(address: tuple[str, int], stop: Event, begun: Callable[[], object]) -> None:
    while not stop.is_set():
        connection = HTTPConnection(*address, timeout=5)
        try:
            connection.request("GET", _STREAM, headers={"Accept": "text/event-stream"})
            answer = connection.getresponse()
            answer.readline()
            begun()
            while not stop.is_set() and answer.readline():
                pass
        except (OSError, HTTPException):
            stop.wait(0.5)
        finally:
            connection.close()
