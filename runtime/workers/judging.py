"""Judge heartbeats. Pure; time comes in as a value."""

from typing import Any, NamedTuple

#: Seconds without a new heartbeat after which a worker counts as hanging.
STALE_AFTER = 15.0


class Verdict(NamedTuple):
    """One worker's health: `problem` is None if it is healthy; a `note` is only information."""

    pid: int
    problem: str | None
    note: str | None = None


def judge(heartbeat: dict[str, Any], *, now: float, interval: float) -> Verdict:
    """Judge one heartbeat.

    A worker is healthy only if it made progress, or had nothing to do, within the interval.

    Args:
        heartbeat: as `read_heartbeats` returns it.
        now: seconds of the monotonic clock.
        interval: seconds for which a worker may hold deliveries without progress.
    """
    return Verdict(int(heartbeat["pid"]), _problem(heartbeat, now, interval), _note(heartbeat))


def _note(heartbeat: dict[str, Any]) -> str | None:
    """The worker's own note, and lines that it could not write to its log."""
    notes = [heartbeat.get("note")]
    if lost := heartbeat.get("unwritten"):
        notes.append(f"cannot write its log: {lost['lines']} lines are lost since {lost['since']}")
    return "; ".join(filter(None, notes)) or None


def waits(heartbeat: dict[str, Any]) -> str | None:
    """What the worker waits for, in a sentence; it continues by itself."""
    if heartbeat["troubles"]:
        who, why = next(iter(heartbeat["troubles"].items()))
        return f"{who} waits: {why}"
    if heartbeat["blocked"]:
        return f"the broker blocks publishing: {heartbeat['blocked']}"
    return None


def stuck(heartbeat: dict[str, Any], *, now: float, interval: float) -> str | None:
    """That the worker holds deliveries and made no progress for the interval, in a sentence.

    Args:
        heartbeat, now, interval: as for `judge`.
    """
    without = now - float(heartbeat["progress"])
    if heartbeat["held"] and without > interval:
        return f"holds {heartbeat['held']} deliveries, no progress for {without:.0f} s"
    return None


def _problem(heartbeat: dict[str, Any], now: float, interval: float) -> str | None:
    silent = now - float(heartbeat["written"])
    if silent > STALE_AFTER:
        return f"hangs: no sign of life for {silent:.0f} s"
    return waits(heartbeat) or stuck(heartbeat, now=now, interval=interval)
