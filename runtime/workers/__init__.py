"""Health that tells the truth: what a worker says of itself, and who believes it."""

from runtime.workers.heartbeat import HeartbeatFile, read_heartbeats
from runtime.workers.judging import Verdict, judge

__all__ = ["HeartbeatFile", "Verdict", "judge", "read_heartbeats"]
