"""Health that tells the truth: what a worker says of itself, and who believes it."""

from runtime.health.judging import Verdict, judge
from runtime.health.pulse import Pulse, read_pulses

__all__ = ["Pulse", "Verdict", "judge", "read_pulses"]
