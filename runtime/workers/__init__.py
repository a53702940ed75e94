"""The health of workers: heartbeat files, and how they are judged."""

from runtime.workers.heartbeat import HeartbeatFile, read_heartbeats
from runtime.workers.judging import Verdict, judge

__all__ = ["HeartbeatFile", "Verdict", "judge", "read_heartbeats"]
