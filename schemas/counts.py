"""The finer counts of a heartbeat: whole numbers by name, which only grow.

A newer worker may tell counts that are not known here; they are kept and added like the others, so
that nothing is lost when its site is upgraded.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from schemas.refusal import Reason

#: Counts by name. `+` adds two of them; `|` takes the larger of each.
Counts = Counter[str]

#: Stands for a reason or a verdict that an older worker did not tell.
UNKNOWN = "unknown"


class Verdict(StrEnum):
    """What the database said of a state message; `loader/load.sql` has the rules."""

    NEW = "new"
    LATE = "late"
    REUSED = "reused"
    DUPLICATE = "duplicate"


def refused(reason: Reason | str) -> str:
    """The name under which dead letters of a reason are counted."""
    return f"refused.{reason}"


def loaded(verdict: Verdict | str) -> str:
    """The name under which loaded messages of a verdict are counted."""
    return f"loaded.{verdict}"


class Bucket(NamedTuple):
    """Observations up to a bound, those of smaller buckets included; the last has no bound."""

    bound: float | None
    observations: int


class Histogram(NamedTuple):
    """Durations in fixed buckets, each a count of its own.

    Attributes:
        name: the beginning of the counts' names.
        bounds: of the buckets, in milliseconds, ascending.
    """

    name: str
    bounds: tuple[int, ...]

    def add_to(self, counts: Counts, seconds: float, *, times: int = 1) -> None:
        """Count a duration; a negative one, by two clocks that differ, counts as none."""
        took = max(seconds, 0.0)
        at = bisect_left(self.bounds, took * 1000)
        counts[self._bucket(at)] += times
        counts[f"{self.name}.microseconds"] += round(took * 1_000_000) * times

    def buckets(self, counts: Mapping[str, int]) -> list[Bucket]:
        """What was counted, with bounds in seconds."""
        found, so_far = [], 0
        for at, bound in enumerate((*self.bounds, None)):
            so_far += counts.get(self._bucket(at), 0)
            found.append(Bucket(None if bound is None else bound / 1000, so_far))
        return found

    def seconds(self, counts: Mapping[str, int]) -> float:
        """The sum of all durations."""
        return counts.get(f"{self.name}.microseconds", 0) / 1_000_000

    def _bucket(self, at: int) -> str:
        return f"{self.name}.{self.bounds[at] if at < len(self.bounds) else 'more'}"


_S, _MIN, _H = 1000, 60_000, 3_600_000
#: How long a loader thread takes to load a chunk.
CHUNK_DURATION = Histogram(
    "chunk_duration",
    (10, 25, 50, 100, 250, 500, 1 * _S, 2500, 5 * _S, 10 * _S, 30 * _S, 1 * _MIN),
)
#: How long messages take from received to loaded.
QUEUE_TIME = Histogram(
    "queue_time",
    (
        *(100, 250, 500, 1 * _S, 2500, 5 * _S, 10 * _S, 30 * _S),
        *(1 * _MIN, 5 * _MIN, 15 * _MIN, 1 * _H, 6 * _H, 24 * _H),
    ),
)
