"""The heartbeat of a worker: what a relay or a loader publishes about itself to `statesys.workers`.

A JSON object. Readers do not trust it: `parse_heartbeat` accepts only short, printable texts and
counts that fit into a bigint, because the values end up in the database and on terminals.
"""

import json
import re
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from schemas.counts import UNKNOWN, Counts, loaded, refused
from schemas.errors import Refused
from schemas.refusal import Reason

#: Bytes of a heartbeat. Ours have less than 4 KiB.
MAX_HEARTBEAT_BYTES = 64 * 1024
#: Settings in a heartbeat at most.
_MAX_SETTINGS = 200
#: Finer counts in a heartbeat at most. Ours are about 60.
_MAX_COUNTS = 300
_MAX_COUNT = 2**63 - 1
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_NAME_OF_COUNT = re.compile(r"[a-z][a-z0-9_.]{0,62}")
#: A value without control characters or lone surrogates, which PostgreSQL refuses.
_TEXT = re.compile(r"[\x20-\x7e\u00a0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]{0,255}")
#: What reading any JSON value as a heartbeat may raise.
_NOT_READ = (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError)


class Role(StrEnum):
    """The kinds of workers."""

    RELAY = "relay"
    LOADER = "loader"


class Counters(NamedTuple):
    """What a worker has done since it started; a number that its role does not have is 0.

    Attributes:
        reports: reports that a relay passed on or refused.
        batches: batches that a relay sent.
        chunks: chunks that a loader loaded.
        messages: state messages in those batches or chunks.
        refused: dead letters that the worker made.
        quarantined: dead letters among them whose reason is `quarantined`.
    """

    reports: int = 0
    batches: int = 0
    chunks: int = 0
    messages: int = 0
    refused: int = 0
    quarantined: int = 0


class WorkerHeartbeat(NamedTuple):
    """What a worker tells about itself.

    Attributes:
        worker_id: identifies this run of the worker.
        version: of statesys.
        started_at: aware, by the worker's clock.
        uptime: seconds since the start, by a clock that nobody sets.
        ended: whether this is the worker's last heartbeat.
        settings: the settings in force, as text by name, without URLs.
        counts: the finer counts since the start, see `schemas.counts`.
    """

    worker_id: UUID
    role: Role
    host: str
    pid: int
    version: str
    started_at: datetime
    uptime: float
    ended: bool
    settings: dict[str, str]
    counters: Counters
    counts: Counts


def render_heartbeat(heartbeat: WorkerHeartbeat) -> bytes:
    """Write a heartbeat as JSON."""
    found = heartbeat._asdict() | {
        "worker_id": str(heartbeat.worker_id),
        "started_at": heartbeat.started_at.isoformat(),
        "counters": heartbeat.counters._asdict(),
    }
    return json.dumps(found).encode()


def parse_heartbeat(body: bytes) -> WorkerHeartbeat:
    """Read a heartbeat. Fields, settings, counters and counts of a newer version are accepted.

    Raises:
        Refused: these bytes are not a heartbeat.
    """
    if len(body) > MAX_HEARTBEAT_BYTES:
        raise Refused(Reason.TOO_LARGE, f"a heartbeat of {len(body)} bytes")
    try:
        found = json.loads(body)
        role, counters = Role(_text(found["role"])), _counters(found["counters"])
        counts = found.get("counts")
        return WorkerHeartbeat(
            worker_id=UUID(_text(found["worker_id"])),
            role=role,
            host=_text(found["host"]),
            pid=_count(found["pid"], most=2**31 - 1),
            version=_text(found["version"]),
            started_at=_moment(found["started_at"]),
            uptime=_seconds(found["uptime"]),
            ended=found["ended"] is True,
            settings=_settings(found["settings"]),
            counters=counters,
            counts=_of_older(role, counters) if counts is None else _counts(counts),
        )
    except _NOT_READ as error:
        detail = f"no heartbeat of a worker: {type(error).__name__}"
        raise Refused(Reason.BAD_STRUCTURE, detail) from None


def _text(value: object) -> str:
    if not isinstance(value, str) or _TEXT.fullmatch(value) is None:
        raise ValueError
    return value


def _count(value: object, *, most: int = _MAX_COUNT) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise ValueError
    return value


def _seconds(value: object) -> float:
    # No worker runs for more than a century; NaN and infinity fail this comparison.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 4e9:
        raise ValueError
    return float(value)


def _moment(value: object) -> datetime:
    found = datetime.fromisoformat(_text(value))
    if found.tzinfo is None or not 1970 <= found.year <= 2200:
        raise ValueError
    return found


def _settings(value: Any) -> dict[str, str]:
    if len(value) > _MAX_SETTINGS or not all(map(_NAME.fullmatch, value)):
        raise ValueError
    return {name: _text(text) for name, text in value.items()}


def _counters(value: Any) -> Counters:
    return Counters(*(_count(value.get(name, 0)) for name in Counters._fields))


def _counts(value: Any) -> Counts:
    if len(value) > _MAX_COUNTS or not all(map(_NAME_OF_COUNT.fullmatch, value)):
        raise ValueError
    return Counts({name: _count(count) for name, count in value.items()})


def _of_older(role: Role, counters: Counters) -> Counts:
    """The finer counts of a worker that tells none; the migration 0013 did the same to its rows."""
    found = Counts({refused(UNKNOWN): max(counters.refused - counters.quarantined, 0)})
    found[refused(Reason.QUARANTINED)] = counters.quarantined
    if role is Role.LOADER:
        found[loaded(UNKNOWN)] = counters.messages
    # Without zeros.
    return +found
