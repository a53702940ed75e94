"""Client faults: wrong or extreme behaviour of a client in a forward cycle.

Each fault is a pure function from a cycle to the changed cycle. A client with a fault always
forwards in that cycle, even if it would have no network.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from producers.client import MAX_BYTES, MAX_MESSAGES
from producers.scenarios import recorded
from schemas.report import MAX_REPORT_BYTES, StateMessage

_DAY, _WEEK, _YEAR = timedelta(days=1), timedelta(days=7), timedelta(days=365)
_JUMPS = (_DAY, -_DAY, _YEAR, -_YEAR)
#: Forward cycles of 15 minutes in a week.
_WEEKS_CYCLES = 672
#: Most waves of a storm; an ordinary cycle has one.
_STORM = 1000
#: Messages in the report that is not cut, each with its own topic.
_MANY = 12_000
#: Characters of the details, 6 MB in UTF-16.
_LETTERS = 3_000_000
#: Topic types outside the catalogue, with the smallest and the largest 32-bit number.
_UNKNOWN = (424_242, -7, 2**31 - 1, -(2**31), 0)


class Cycle(NamedTuple):
    """A forward cycle of a client, before its messages are numbered.

    Attributes:
        seed, client, cycle, mean: arguments of `producers.scenarios.recorded`.
        now: by the client's clock, timezone-aware.
        waves: messages to forward; each wave is forwarded separately, one after another.
        present: whether the client has a network.
        step: difference between two serials.
        max_messages, max_bytes: limits of one report; longer reports are cut.
    """

    seed: int
    client: int
    cycle: int
    mean: float
    now: datetime
    waves: tuple[tuple[StateMessage, ...], ...]
    present: bool = True
    step: int = 1
    max_messages: int = MAX_MESSAGES
    max_bytes: int = MAX_BYTES


#: Takes a cycle and a seeded random number; returns the cycle with the fault.
ClientFault = Callable[[Cycle, int], Cycle]


def clock(cycle: Cycle, number: int) -> Cycle:
    """The clock is a day or a year ahead or behind, for one cycle."""
    jump = _JUMPS[number % len(_JUMPS)]
    waves = tuple(
        tuple(m._replace(message_time=m.message_time + jump) for m in wave) for wave in cycle.waves
    )
    return cycle._replace(now=cycle.now + jump, waves=waves)


def burst(cycle: Cycle, _number: int) -> Cycle:
    """A client comes back after a week and forwards all that it recorded meanwhile."""
    mean = min(cycle.mean * _WEEKS_CYCLES, 10_000)
    told = recorded(cycle.seed, cycle.client, cycle.cycle + 1, mean, cycle.now)
    apart = _WEEK / (len(told) + 1)
    week = tuple(
        message._replace(message_time=cycle.now - apart * (len(told) - 1 - at))
        for at, message in enumerate(told)
    )
    return _with(cycle, week)


def storm(cycle: Cycle, _number: int) -> Cycle:
    """A topic storm: one client forwards a thousand times in one cycle."""
    told = (
        recorded(cycle.seed, cycle.client, cycle.cycle + n, cycle.mean, cycle.now)
        for n in range(1, _STORM)
    )
    return cycle._replace(waves=(*cycle.waves, *(wave for wave in told if wave)))


def holes(cycle: Cycle, _number: int) -> Cycle:
    """Every second serial is left out."""
    return cycle._replace(step=2)


def many(cycle: Cycle, number: int) -> Cycle:
    """Twelve thousand messages in one report, which is not cut."""
    told = tuple(_state(cycle, 500, f"many-{at:05d}", 2 + (number + at) % 2) for at in range(_MANY))
    return _with(cycle, told)._replace(max_messages=2 * _MANY, max_bytes=MAX_REPORT_BYTES)


def details(cycle: Cycle, number: int) -> Cycle:
    """StateDetails of three million characters."""
    line = f"{number:020d} ".ljust(100, "x")
    text = line * (_LETTERS // len(line))
    message = _state(cycle, 401, "details", 2)
    return _with(cycle, (message._replace(details=text, details_type="text/plain"),))


def unknown(cycle: Cycle, number: int) -> Cycle:
    """Topic types and states that are not in the catalogue."""
    told = tuple(
        _state(cycle, kind, f"unknown <&> \N{SNOWMAN} {number % 3}", (number + at) % 2**32)
        for at, kind in enumerate(_UNKNOWN)
    )
    return _with(cycle, told)


CLIENT_FAULTS: Mapping[str, ClientFault] = {
    "burst": burst,
    "storm": storm,
    "many": many,
    "details": details,
    "unknown": unknown,
    "holes": holes,
    # Last, because it moves the times of the messages that the other faults add.
    "clock": clock,
}


def _with(cycle: Cycle, told: tuple[StateMessage, ...]) -> Cycle:
    first, *others = cycle.waves
    return cycle._replace(waves=((*first, *told), *others))


def _state(cycle: Cycle, topic_type: int, topic_id: str, state_id: int) -> StateMessage:
    return StateMessage(None, None, topic_type, topic_id, None, "", "", state_id, 0, cycle.now)
