"""Reads, replays and purges the dead letters in `statesys.dead`.

`look` takes all dead letters without settling them and requeues them at the end: none is lost or
moved, and if this process dies, the broker requeues them. Meanwhile, others see an empty queue.

Dead letters are counted by taking them: for a moment after a requeue, the depth of a quorum queue
still leaves them out.
"""

import sys
from collections.abc import Callable, Container, Generator, Sequence
from dataclasses import dataclass, field
from itertools import count

from console.output import counted
from runtime.broker import Administration, Delivery
from runtime.broker.dead_letters import Letter, read_dead_letter, replayed
from runtime.broker.shards import count_shards
from schemas.errors import NotTaken, StatesysError
from schemas.topology import DEAD, queues


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which dead letters a command means: by name, by reason, or all.

    Attributes:
        names: of dead letters; empty means any.
        reason: None means any.
    """

    names: frozenset[str] = frozenset()
    reason: str | None = None

    def __call__(self, letter: Letter) -> bool:
        """Whether a dead letter is chosen."""
        return (not self.names or letter.name in self.names) and (
            self.reason is None or letter.reason == self.reason
        )

    def check_found(self, letters: Sequence[Letter]) -> None:
        """Check that every name was found.

        Raises:
            StatesysError: a name is not among the dead letters, or no longer.
        """
        unknown = sorted(self.names - {letter.name for letter in letters})
        if unknown:
            raise StatesysError(
                f"no dead letter {', '.join(unknown[:3])}"
                + (f" and {len(unknown) - 3} more" if len(unknown) > 3 else "")
                + "; `statesys dead list` shows the ids"
            )


#: Dead letters that `look` reads at most by default. Each costs a round trip to the broker.
MOST = 10_000


@dataclass
class Moved:
    """What a replay or purge did with each dead letter.

    Attributes:
        done: replayed or deleted.
        stuck: chosen, but their queue is unknown or took no message; they stay.
    """

    done: list[Letter] = field(default_factory=list)
    stuck: list[Letter] = field(default_factory=list)

    def check_replayed(self, chosen: Choice) -> None:
        """Check that a replay moved all that was chosen.

        Raises:
            StatesysError: a name was not found, or letters stay.
        """
        chosen.check_found([*self.done, *self.stuck])
        if self.stuck:
            raise StatesysError(
                f"{counted(len(self.stuck), 'letter')} cannot be put back: it is not known which "
                "queue they came from, or it took no message"
            )

    def words(self, word: str) -> str:
        """How many letters were moved; `word` is `replayed` or `deleted`."""
        return f"{word} {counted(len(self.done), 'letter')}"


class Box:
    """The dead letters in `statesys.dead`.

    Args:
        admin: an open connection.

    Attributes:
        cut: the last `look` left dead letters out.
    """

    def __init__(self, admin: Administration) -> None:
        self._admin = admin
        self.cut = False

    def look(self, *, most: int = MOST) -> Generator[tuple[Letter, Delivery], None, None]:
        """Every dead letter, oldest first, with its delivery.

        All are requeued at the end, or when the generator is closed.

        Args:
            most: dead letters at most; `cut` then says that there are more.
        """
        self.cut = False
        last: int | None = None
        try:
            exists = self._admin.depth(DEAD) is not None
            for number in count(1):
                # Taking from a queue that is not declared yet would be an error.
                delivery = self._admin.take(DEAD) if exists else None
                if delivery is None:
                    break
                last = delivery.tag
                if number > most:
                    self.cut = True
                    break
                yield read_dead_letter(delivery), delivery
        finally:
            if last is not None:
                self._admin.requeue(last, up_to=True)

    def chosen(self, chosen: Choice) -> list[Letter]:
        """The dead letters that a choice means, all of them.

        Raises:
            StatesysError: a name is not among the dead letters.
        """
        seen = [letter for letter, _ in self.look(most=sys.maxsize) if chosen(letter)]
        chosen.check_found(seen)
        return seen

    def replay(self, chosen: Callable[[Letter], bool]) -> Moved:
        """Publish dead letters to the queues they came from.

        A dead letter is acknowledged only after the broker has confirmed the published message.
        A crash in between leaves both, and loading a message twice changes nothing.

        Raises:
            TopologyWrong: an existing queue differs from the topology; no dead letter was moved.
        """
        ours = queues(count_shards(self._admin))
        self._admin.declare([queue for queue in ours if self._admin.depth(queue.name)])

        def put_back(delivery: Delivery, letter: Letter) -> bool:
            if not letter.replayable:
                return False
            assert letter.queue is not None
            try:
                self._admin.publish(
                    routing_key=letter.queue,
                    body=delivery.body,
                    properties=replayed(delivery.properties),
                )
            except NotTaken:
                return False
            return True

        return self._move(chosen, put_back)

    def purge(self, chosen: Callable[[Letter], bool]) -> Moved:
        """Delete dead letters."""
        return self._move(chosen, lambda _delivery, _letter: True)

    def purge_seen(self, chosen: Choice, names: Container[str]) -> Moved:
        """Delete chosen dead letters, but only those with the names that an operator agreed to.

        A dead letter that arrived during the question stays.
        """
        return self.purge(lambda letter: letter.name in names and chosen(letter))

    def _move(
        self, chosen: Callable[[Letter], bool], act: Callable[[Delivery, Letter], bool]
    ) -> Moved:
        """Act on the chosen dead letters and acknowledge them; requeue the others.

        It takes only as many as there are at the start: a replayed message may be refused again,
        and the loop would never end.
        """
        letters = sum(1 for _ in self.look(most=sys.maxsize))
        moved = Moved()
        kept: list[int] = []
        try:
            for _ in range(letters):
                delivery = self._admin.take(DEAD)
                if delivery is None:
                    break
                kept.append(delivery.tag)
                letter = read_dead_letter(delivery)
                if not chosen(letter):
                    continue
                if act(delivery, letter):
                    self._admin.ack(kept.pop())
                    moved.done.append(letter)
                else:
                    moved.stuck.append(letter)
        finally:
            if kept:
                # Acknowledged deliveries are settled already, so "up to" requeues only the rest.
                self._admin.requeue(kept[-1], up_to=True)
        return moved
