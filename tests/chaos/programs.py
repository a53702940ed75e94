"""The command lines of a site's programs: impatient workers, and a busy fleet."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from runtime.durations import render_duration

CLIENTS = 60
MIN_MISSING_AGE = timedelta(seconds=2)
#: Resyncs after seconds instead of two days; small batches and chunks, so that workers hold many.
WORKERS: Mapping[str, tuple[str, ...]] = {
    "relay": ("relay", "run", "--batch-size", "8"),
    "loader": (
        *("loader", "run", "--threads", "2", "--chunk-size", "16"),
        *(
            "--resync-check-interval",
            "1s",
            "--min-missing-message-age",
            render_duration(MIN_MISSING_AGE),
        ),
        *("--resync-merge-interval", "0s"),
    ),
}
#: A busy and unreliable fleet: the site must notice its losses whatever else is broken.
_LIFE = (
    *("--clients", str(CLIENTS), "--messages", "4", "--forward-interval", "1s"),
    *("--heartbeat-interval", "5s", "--duplicate", "0.03", "--reorder", "0.03"),
)
_LOSSES = ("--loss", "0.03", "--corrupt", "0.01")
#: In a hostile fleet a loss costs more: a client that once sent 12,000 states at a time repeats
#: them all in its answer.
_HOSTILE_LOSSES = ("--loss", "0.01", "--corrupt", "0.005")
#: Shares of the clients' forward cycles in a hostile fleet: some of each after a fault, and of the
#: large ones a few in ten minutes. There are no twins: recognising them takes hours.
_HOSTILITY: Mapping[str, float] = {
    "rollback": 0.0005,
    "lost": 0.0003,
    "ahead": 0.001,
    "holes": 0.002,
    "clock": 0.002,
    "unknown": 0.002,
    "burst": 0.0003,
    "malformed": 0.01,
    "storm": 0.0001,
    "many": 0.0001,
    "details": 0.0001,
}
#: New messages under old serials may meet no row; then only their date shows the reuse. The
#: default tolerance of five minutes is too long here.
HOSTILE_SETTINGS: Mapping[str, str] = {"reuse_date_tolerance": "1s"}


def fleet_command(directory: Path, *, seed: int, hostile: bool, reliable: bool) -> tuple[str, ...]:
    """The command that runs a fleet, or goes on with it.

    Args:
        directory: of its store.
        seed: of a new fleet.
        hostile: whether it has hostile clients.
        reliable: whether no report is lost or damaged on its way.
    """
    new = () if directory.exists() else ("--seed", str(seed))
    losses = _HOSTILE_LOSSES if hostile else _LOSSES
    rates = [f"{kind}={rate}" for kind, rate in _HOSTILITY.items()] if hostile else []
    return (
        *("producers", "run", "--fleet", str(directory), *new, *_LIFE),
        *(() if reliable else losses),
        *(word for rate in rates for word in ("--hostile", rate)),
    )
