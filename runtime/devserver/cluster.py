"""The private brokers of one home: one alone, or several that form a cluster.

The first start makes the cluster: the first node starts alone, and the others join it. Later, all
start at once: a node waits for the one that stopped after it, because that one knows more.
"""

import shutil
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from runtime.devserver import epmd, processes
from runtime.devserver.errors import ServicesError
from runtime.devserver.processes import until
from runtime.devserver.rabbitmq import Server, base
from runtime.devserver.registry import Rabbitmq
from runtime.files import directory, sync, write_private
from runtime.process_identity import Process, alive

#: Brokers of one home, at most. RabbitMQ 3.10 gives a queue no more members than that.
MOST = 3

# Seconds. About 5 for an empty broker; one with a large backlog reads its logs first.
START = 120

# RabbitMQ 3.10 compares feature flags with every node that it sees, and ends when one that starts
# at the same moment does not know its own yet ("incompatible_feature_flags").
_RESTARTS = 5

# Seconds until a broker that ran before, and does not answer, is restarted. RabbitMQ 3.10 may fail
# in the same way when a paused node goes on: the node then runs without its application, and the
# others wait for it.
_HUNG = 40

# Seconds for the port mapper to notice that its nodes are gone.
_MAPPER_STOP = 10
# Seconds until the first node counts the others, once all of them answer.
_JOIN = 30

# This file exists from before the first start until that start is complete. A broker that ends in
# between may leave a database with a virtual host and no user, and never create one; a node may
# believe that it is in a cluster which does not know it. So the next start deletes the data.
_UNFINISHED = "first-start"


class Cluster:
    """All brokers of a home; starting and stopping them twice is harmless.

    Args:
        home: of all servers.
        brokers: as they are recorded.
        write_down: records the process of a broker (its number), before it starts.
    """

    def __init__(
        self,
        home: Path,
        brokers: Sequence[Rabbitmq],
        write_down: Callable[[int, Process], None] = lambda _number, _process: None,
    ) -> None:
        self._home = home
        self._write_down = write_down
        self._servers = {one.number: Server(home, one, nodes=len(brokers)) for one in brokers}
        self._processes = {one.number: one.process for one in brokers}
        # The brokers that ran before `launch`.
        self._older: set[int] = set()

    def launch(self) -> None:
        """Start what does not run, without waiting; `wait` waits.

        Raises:
            ServicesError: RabbitMQ is not installed, the limit of open files is too low, a port
                is taken, or another broker uses this data and does not stop.
        """
        if unfinished(self._home) and not (len(self._servers) == 1 and self._runs(1)):
            self._discard()
        idle = [number for number in self._servers if not self._runs(number)]
        self._older = self._servers.keys() - idle
        if idle:
            processes.require_files()
        for number in idle:
            self._servers[number].require_startable()
        if not any(one.has_data for one in self._servers.values()):
            self._mark_first_start()
        for number in [1] if unfinished(self._home) else idle:
            self._launch(number)

    def wait(self) -> None:
        """Wait until all answer; on a first start, let the others join the first one.

        From then on they hold data.

        Raises:
            ServicesError: one ended, did not answer in time, or did not join; the message says
                where to look, or has the end of its log.
        """
        if unfinished(self._home):
            self._await([1])
            for number in self._servers:
                self._launch(number)
        self._await(self._servers)
        if unfinished(self._home):
            self._require_joined()
            mark = _mark(self._home)
            mark.unlink()
            # After a power cut the next start must keep this data.
            sync(mark.parent)

    def stop(self, *, flush: bool = True) -> bool:
        """End all brokers at once, then their port mapper.

        Args:
            flush: stop cleanly and flush the queues, which takes six seconds. False kills the
                brokers, for data that is deleted next.

        Returns:
            False when nothing ran.

        Raises:
            ServicesError: a broker did not end in time, and was killed; durable queues survive
                that as they survive a power cut.
        """
        running = {n: one.process(self._processes[n]) for n, one in self._servers.items()}
        mappers = {one.mapper_port(running[n]) for n, one in self._servers.items()}
        with ThreadPoolExecutor(len(self._servers)) as pool:
            ends = [
                pool.submit(one.stop, running[number], flush=flush)
                for number, one in self._servers.items()
            ]
        for mapper in mappers:
            epmd.stop(mapper, seconds=_MAPPER_STOP)
        ran = [end.result() for end in ends]
        return any(ran)

    def _discard(self) -> None:
        """Remove what an incomplete first start has left."""
        self.stop(flush=False)
        for one in self._servers.values():
            if one.data.exists():
                shutil.rmtree(one.data)

    def _mark_first_start(self) -> None:
        mark = _mark(self._home)
        directory(mark.parent)
        write_private(mark, "")
        sync(mark.parent)

    def _launch(self, number: int) -> None:
        if not self._runs(number):
            self._processes[number] = self._servers[number].launch(
                lambda process: self._write_down(number, process)
            )

    def _await(self, numbers: Collection[int]) -> None:
        """Wait until these answer. A node of a cluster that ends is started again a few times."""
        left = dict.fromkeys(numbers, _RESTARTS if len(self._servers) > 1 else 0)
        hung = time.monotonic() + _HUNG

        def settled(number: int) -> bool:
            if self._runs(number):
                if self._servers[number].answers():
                    return True
                if number in self._older and time.monotonic() > hung:
                    self._older.discard(number)
                    self._servers[number].stop(self._processes[number])
                    self._launch(number)
                return False
            if left[number] == 0:
                raise self._servers[number].failure()
            left[number] -= 1
            self._launch(number)
            return False

        def all_settled() -> bool:
            # All are looked at: the others may wait for one that has ended.
            waiting = [number for number in numbers if not settled(number)]
            return not waiting

        if not until(all_settled, seconds=START):
            # `settled` would start brokers again, behind the error that reports them.
            for number in numbers:
                if not (self._runs(number) and self._servers[number].answers()):
                    raise self._servers[number].failure()

    def _runs(self, number: int) -> bool:
        return alive(self._processes[number])

    def _require_joined(self) -> None:
        """Check that the first start has made one cluster."""
        wanted = len(self._servers)
        if not until(lambda: self._servers[1].members() == wanted, seconds=_JOIN):
            msg = (
                f"the {wanted} brokers did not form a cluster: read {self._home}/rabbitmq*/log, "
                f"and repeat `statesys up`, which begins anew"
            )
            raise ServicesError(msg)


def unfinished(home: Path) -> bool:
    """Whether the first start is incomplete, so that the brokers hold no data yet."""
    return _mark(home).exists()


def recorded_brokers(home: Path) -> int:
    """The highest number of a broker with files in a home, at least 1."""
    return max((number for number in range(1, MOST + 1) if base(home, number).exists()), default=1)


def remove(home: Path) -> None:
    """Delete the data of all brokers. None of them may be running."""
    for number in range(1, MOST + 1):
        if base(home, number).exists():
            shutil.rmtree(base(home, number))


def _mark(home: Path) -> Path:
    return base(home, 1) / _UNFINISHED
