"""CPU seconds and peak memory of processes, sampled while they work."""

import threading
import time
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import psutil

#: Seconds between two samples; CPU at the moments between is interpolated. A sample takes some
#: 20 ms of CPU away from the measured processes.
_EVERY = 0.5
_KIB = 1024


class _Sample(NamedTuple):
    at: float
    cpu: dict[str, float]


class Meter:
    """Watches groups of processes with all their children. A context manager.

    Args:
        roots: pids by group, such as `broker`; only their CPU is measured.
    """

    def __init__(self, roots: Mapping[str, Sequence[int]]) -> None:
        self._groups: dict[str, list[_Tree]] = {}
        self._samples: list[_Sample] = []
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="meter", daemon=True)
        for group, pids in roots.items():
            self._groups[group] = [_Tree(pid, memory=False) for pid in pids]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._end.set()
        self._thread.join()

    def watch(self, group: str, pid: int) -> None:
        """Add a process to a group, and measure its memory too."""
        with self._lock:
            self._groups.setdefault(group, []).append(_Tree(pid, memory=True))
        # It may have ended before the next sample.
        self.sample()

    def sample(self) -> None:
        """Take a sample now."""
        with self._lock:
            at = time.time()
            cpu = {g: sum(tree.cpu() for tree in trees) for g, trees in self._groups.items()}
            self._samples.append(_Sample(at, cpu))

    def cpu(self, first: float, last: float) -> dict[str, float]:
        """CPU seconds of each group between two moments (seconds since 1970)."""
        return {
            group: round(self._at(group, last) - self._at(group, first), 2)
            for group in self._groups
        }

    def peak(self, group: str) -> int | None:
        """The most memory that a process of a group had, in bytes; None for no process.

        A process with children counts with them, as far as the samples saw it.
        """
        return max((tree.peak for tree in self._groups.get(group, ())), default=None)

    def _at(self, group: str, moment: float) -> float:
        points = [(s.at, s.cpu[group]) for s in self._samples if group in s.cpu]
        place = bisect_left(points, (moment, 0.0))
        if place == 0:
            return points[0][1]
        if place == len(points):
            return points[-1][1]
        (before, low), (after, high) = points[place - 1], points[place]
        return low + (high - low) * (moment - before) / (after - before)

    def _run(self) -> None:
        while not self._end.is_set():
            self.sample()
            self._end.wait(_EVERY)


class _Tree:
    """A process with its children; once it has ended, its last values stay."""

    def __init__(self, pid: int, *, memory: bool) -> None:
        self._memory = memory
        self._root = psutil.Process(pid)
        self._seen = 0.0
        self.peak = 0

    def cpu(self) -> float:
        """CPU seconds so far, including those of ended children."""
        try:
            own = self._root.cpu_times()
            total = own.user + own.system + own.children_user + own.children_system
            children = self._root.children(recursive=True)
            total += sum(map(_cpu, children))
            self._seen = max(self._seen, total)
            if self._memory:
                now = sum(map(_memory, [self._root, *children]))
                self.peak = max(self.peak, _peak(self._root.pid), now)
        except psutil.Error:
            pass
        return self._seen


def _cpu(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        # The child has just ended; the next sample finds its CPU in its parent's count.
        return 0.0
    return float(times.user + times.system)


def _memory(process: psutil.Process) -> int:
    """Bytes now; memory that processes share is divided among them."""
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0


def _peak(pid: int) -> int:
    """The peak in bytes that the kernel keeps; 0 when the process has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    found = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(found[0]) * _KIB if found else 0
