"""The producers' path: state recorded, numbered and rendered into an outbox, then confirmed."""

import json
import shutil
import subprocess
import sys
import time

from lab.bench.job import Job
from lab.bench.meter import Meter
from lab.bench.result import Result
from lab.bench.testbed import Testbed
from runtime.settings import environment
from schemas.errors import StatesysError

_FLEET = "fleet"


def run_publish(testbed: Testbed, job: Job) -> Result:
    """Forward cycles of a fleet without faults, in a process of its own.

    A fleet is no exact copy of a job: now and then a client has no network, or more to say.
    """
    testbed.clear()
    fleet = testbed.directory / _FLEET
    shutil.rmtree(fleet, ignore_errors=True)
    with Meter(testbed.processes) as meter:
        testbed.show("publishing")
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "statesys", "producers", "publish", "--json"),
                *("--fleet", str(fleet), "--clients", str(job.clients)),
                *("--messages", str(job.messages), "--cycles", str(_cycles(job)), "--no-heartbeat"),
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


def _cycles(job: Job) -> int:
    return max(1, round(job.reports / job.clients))
