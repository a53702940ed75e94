"""The runs of `statesys bench`: on a full queue, of the producers, and at a constant rate."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from lab.bench.drop import Drop, disturbance, drop_behind_reader
from lab.bench.job import Job, WorkerSettings
from lab.bench.meter import Meter
from lab.bench.reports import Feed, reports, written
from lab.bench.result import Result
from lab.bench.tables import fill, loaded, times
from lab.bench.testbed import Testbed
from lab.bench.workers import BenchWorkers
from runtime.settings import environment
from schemas.errors import StatesysError
from schemas.report_writer import render_report


class Run(NamedTuple):
    """A run: its job, its workers, and the meter that watches them."""

    job: Job
    worker_settings: WorkerSettings
    workers: BenchWorkers
    meter: Meter

    def fast_path(self) -> int:
        """Reports that the relays read by the fast path."""
        return sum(event.canonical for event in self.workers.events("relay"))

    def result(self, kind: str, *, first: float, last: float, fast_path: int) -> Result:
        """The result of the run between two moments (seconds since 1970)."""
        found = {role: self.meter.peak(role) for role in ("relay", "loader")}
        return Result(
            kind=kind,
            job=self.job,
            worker_settings=self.worker_settings,
            reports=self.job.reports,
            messages=self.job.total,
            fast_path=fast_path,
            seconds=last - first,
            cpu=self.meter.cpu(first, last),
            peak={role: peak for role, peak in found.items() if peak is not None},
        )


@contextmanager
def running_workers(testbed: Testbed, job: Job, worker_settings: WorkerSettings) -> Iterator[Run]:
    """Measure the servers, and each worker once it is started; stop the workers at the end."""
    with (
        Meter(testbed.processes) as meter,
        BenchWorkers(testbed.servers, testbed.directory, worker_settings, meter) as workers,
    ):
        yield Run(job, worker_settings, workers, meter)


def check_loaded(testbed: Testbed, job: Job, since: float) -> None:
    """Check that all messages are loaded; otherwise the rate means nothing.

    Args:
        since: when the run began (seconds since 1970); earlier messages do not count.

    Raises:
        StatesysError: the history has another number of messages than were sent.
    """
    found = loaded(testbed.servers.database_url, since)
    if found != job.total:
        raise StatesysError(f"{job.total:,} state messages were sent, {found:,} are loaded")


def prefill(testbed: Testbed, job: Job) -> None:
    """Fill the tables as the job wants them, and publish all its reports."""
    testbed.clear()
    fill(testbed.servers.database_url, job.existing, testbed.show)
    with Feed(testbed.servers.amqp_url, testbed.show) as feed:
        for report in reports(job):
            feed.send(report, written(report, job.shape))


def run_relay(testbed: Testbed, job: Job, worker_settings: WorkerSettings) -> Result:
    """The relay alone, from the first delivery to the last confirm; the batches stay there."""
    prefill(testbed, job)
    with running_workers(testbed, job, worker_settings) as running:
        testbed.show("relaying")
        first = running.workers.start("relay", worker_settings.relays)
        last = running.workers.work("relay", job.total)
        fast_path = running.fast_path()
    return running.result("relay", first=first, last=last, fast_path=fast_path)


def run_loader(testbed: Testbed, job: Job, worker_settings: WorkerSettings) -> Result:
    """The loader alone, from the first delivery to the last commit; a relay makes the batches."""
    prefill(testbed, job)
    with running_workers(testbed, job, worker_settings) as before:
        testbed.show("making batches")
        before.workers.start("relay")
        before.workers.work("relay", job.total)
        fast_path = before.fast_path()
    with running_workers(testbed, job, worker_settings) as running:
        testbed.show("loading")
        first = running.workers.start("loader", worker_settings.loaders)
        last = running.workers.work("loader", job.total)
    check_loaded(testbed, job, first)
    return running.result("loader", first=first, last=last, fast_path=fast_path)


def run_drain(
    testbed: Testbed,
    job: Job,
    worker_settings: WorkerSettings,
    *,
    meanwhile: Callable[[Meter], AbstractContextManager[Any]] = nullcontext,
) -> Result:
    """Both together, from the first delivery to a relay to the last commit of a loader.

    Args:
        meanwhile: what else goes on during the run, once the queue is full; it gets the meter.
    """
    prefill(testbed, job)
    with running_workers(testbed, job, worker_settings) as running, meanwhile(running.meter):
        testbed.show("draining")
        running.workers.start("loader", worker_settings.loaders)
        first = running.workers.start("relay", worker_settings.relays)
        last = running.workers.work("loader", job.total)
        fast_path = running.fast_path()
    check_loaded(testbed, job, first)
    found = running.result("drain", first=first, last=last, fast_path=fast_path)
    return replace(found, queue=times(testbed.servers.database_url, first).queue)


_FLEET = "fleet"


def run_publish(testbed: Testbed, job: Job) -> Result:
    """Run forward cycles of a fleet without faults, in a process of its own.

    The number of reports only comes close to the job's: now and then a client has no network, or
    more messages.
    """
    testbed.clear()
    cycles = max(1, round(job.reports / job.clients))
    fleet = testbed.directory / _FLEET
    shutil.rmtree(fleet, ignore_errors=True)
    with Meter(testbed.processes) as meter:
        testbed.show("publishing")
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "statesys", "producers", "publish", "--json"),
                *("--fleet", str(fleet), "--clients", str(job.clients)),
                *("--messages", str(job.messages), "--cycles", str(cycles), "--no-heartbeat"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(amqp_url=testbed.servers.amqp_url),
        )
        try:
            meter.watch("producers", process.pid)
            summary, errors = process.communicate()
            last = time.time()
        finally:
            process.kill()
            process.wait()
    if process.returncode != 0:
        raise StatesysError(f"the producers ended with {process.returncode}:\n{errors[-2000:]}")
    found = json.loads(summary)
    return Result(
        kind="publish",
        job=job,
        reports=found["reports"],
        messages=found["messages"],
        seconds=found["seconds"],
        cpu=meter.cpu(last - found["seconds"], last),
        peak={"producers": meter.peak("producers") or 0},
    )


def run_steady(
    testbed: Testbed,
    job: Job,
    worker_settings: WorkerSettings,
    *,
    rate: float,
    drop_partition: bool,
) -> Result:
    """Publish at a constant rate, however fast the workers are.

    Every report has the moment it was due as its Date, so that a delay of the bench itself does
    not make the total time look shorter.

    Args:
        rate: reports a second.
        drop_partition: after a third of the time, drop the oldest existing day while a reader
            holds a snapshot of the history for another third.
    """
    testbed.clear()
    fill(testbed.servers.database_url, job.existing, testbed.show)
    testbed.show("rendering")
    waiting = list(reports(job))
    with running_workers(testbed, job, worker_settings) as running:
        workers = running.workers
        workers.start("loader", worker_settings.loaders)
        workers.start("relay", worker_settings.relays)
        testbed.show("publishing at a constant rate")
        with (
            _dropping(testbed, job, rate, wanted=drop_partition) as dropped,
            Feed(testbed.servers.amqp_url, lambda _step: None) as feed,
        ):
            first, started = time.time(), time.monotonic()
            for number, report in enumerate(waiting):
                due = number / rate
                while (left := started + due - time.monotonic()) > 0:
                    feed.poll(left)
                date = datetime.fromtimestamp(first, UTC) + timedelta(seconds=due)
                dated = report._replace(date=date)
                feed.send(dated, render_report(dated))
        last = workers.work("loader", job.total)
        fast_path = running.fast_path()
        drop = dropped()
        events = workers.events("loader"), workers.events("relay")
    check_loaded(testbed, job, first)
    took = times(testbed.servers.database_url, first)
    return replace(
        running.result("steady", first=first, last=last, fast_path=fast_path),
        queue=took.queue,
        total=took.total,
        disturbance=None if drop is None else disturbance(drop, *events),
    )


@contextmanager
def _dropping(
    testbed: Testbed, job: Job, rate: float, *, wanted: bool
) -> Iterator[Callable[[], Drop | None]]:
    """Drop the oldest day meanwhile, if wanted; yield a function that waits for the result."""
    if not wanted:
        yield lambda: None
        return
    third = job.reports / rate / 3
    with ThreadPoolExecutor(1, "dropping") as pool:
        drop = pool.submit(
            drop_behind_reader,
            testbed.servers.database_url,
            after=third,
            hold=third,
            # Today is one of the days.
            retention=timedelta(days=job.existing.days - 2),
        )
        yield drop.result
