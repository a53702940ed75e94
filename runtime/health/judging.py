"""What a pulse means. Pure; time comes in as a value."""

from typing import Any, NamedTuple

#: Seconds without a new pulse after which a worker hangs.
STALE_AFTER = 15.0


class Verdict(NamedTuple):
    """One worker's health: `problem` None is healthy. A `note` is worth knowing, and no problem."""

    pid: int
    problem: str | None
    note: str | None = None


def judge(pulse: dict[str, Any], *, now: float, interval: float) -> Verdict:
    """Judge one pulse.

    A worker is healthy only if it made progress, or had nothing to do, within the interval.

    Args:
        pulse: as `read_pulses` returns it.
        now: seconds of the monotonic clock.
        interval: seconds that work in hand may go without progress.
    """
    return Verdict(int(pulse["pid"]), _problem(pulse, now, interval), _note(pulse))


def _note(pulse: dict[str, Any]) -> str | None:
    """What the worker itself notes, and lines that its log does not take."""
    notes = [pulse.get("note")]
    if lost := pulse.get("unwritten"):
        notes.append(f"cannot write its log: {lost['lines']} lines are lost since {lost['since']}")
    return "; ".join(filter(None, notes)) or None


def _problem(pulse: dict[str, Any], now: float, interval: float) -> str | None:
    silent = now - float(pulse["written"])
    stuck = now - float(pulse["progress"])
    if silent > STALE_AFTER:
        return f"hangs: no sign of life for {silent:.0f} s"
    if pulse["troubles"]:
        who, why = next(iter(pulse["troubles"].items()))
        return f"{who} waits: {why}"
    if pulse["blocked"]:
        return f"the broker blocks publishing: {pulse['blocked']}"
    if pulse["held"] and stuck > interval:
        return f"holds {pulse['held']} deliveries, no progress for {stuck:.0f} s"
    return None
