"""The whole pipeline, each worker as its documented user."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.secure_site import FLEET, SecureSite
from tests.support.waiting import wait_until

#: Seconds, on a busy machine.
_PATIENCE = 60
#: Resyncs after seconds, since the default of two days is too long for a test.
_QUICK = (
    *("--resync-check-interval", "200ms", "--min-missing-message-age", "2s"),
    *("--resync-merge-interval", "0s"),
)
#: A fleet that only answers.
_QUIET = ("--forward-interval", "24h", "--heartbeat-interval", "24h")


class Life:
    """A run of the pipeline with a fleet that loses reports, and its results.

    Attributes:
        status: output of `status --json` at the end.
        verified: `verify`, while relay and loader ran.
        logs: all that the workers wrote, at the level debug.
        processes: the command line of every process on the machine while they worked.
        health: the workers' heartbeat files at that time.
    """

    def __init__(self, site: SecureSite) -> None:
        """Do the run, which takes several seconds."""
        self._site = site
        published = site.run(
            *("producers", "publish", "--fleet", FLEET, "--clients", "20", "--cycles", "3"),
            *("--loss", "0.3", "--corrupt", "0.05"),
            user=FLEET,
        )
        assert published.returncode == 0, published.stderr
        with (
            self._working("relay", "run", user="relay"),
            self._working("loader", "run", *_QUICK, user="loader", role="loader"),
            self._working("producers", "run", "--fleet", FLEET, *_QUIET, user=FLEET),
        ):
            wait_until(self._complete, timeout=_PATIENCE, what="a resync, and nothing missing")
            self.processes = list(_command_lines())
            self.health = [p.read_text() for p in (site.directory / "workers").rglob("*.json")]
            self.verified = site.run("verify", "--fleet", FLEET, user="operator", role="reader")
        self.logs = "".join(log.read_text() for log in site.directory.glob("worker-*.log"))
        self.status = self._status()

    def _complete(self) -> bool:
        totals = self._status()["database"]["totals"]
        return bool(totals["answered"] and not totals["missing_ranges"] and not totals["pending"])

    def _status(self) -> Any:
        told = self._site.run(
            *("status", "--json"),
            user="operator",
            role="reader",
            STATESYS_MANAGEMENT_URL=self._site.management_url("operator"),
        )
        assert told.returncode == 0, told.stdout + told.stderr
        return json.loads(told.stdout)

    @contextmanager
    def _working(self, *arguments: str, user: str, role: str | None = None) -> Iterator[None]:
        """Run a worker until the end of the block, and stop it in order."""
        log = self._site.directory / f"worker-{arguments[0]}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "statesys", *arguments],
                env=self._site.environment(user, role),
                cwd=self._site.directory,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        try:
            yield
            process.send_signal(signal.SIGTERM)
            assert process.wait(_PATIENCE) == 0, log.read_text()
        finally:
            process.kill()
            process.wait()


def _command_lines() -> Iterator[str]:
    """Yield the command line of every process, without those that have just ended."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
