"""The dead queue as a box of letters: look, choose, put back, throw away.

To look means to take all letters without settling them, and to give them back at the end: nothing
is lost or moved, and if this process dies, the broker gives them back itself. While somebody
looks, somebody else sees an empty queue.

How many letters there are is found out by taking them: for a moment after letters were given back,
the depth of a quorum queue still tells the number without them.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

from runtime.broker import Administration, Delivery
from runtime.broker.dead_letters import Letter, read_dead_letter, replayed
from schemas.errors import NotTaken, StatesysError
from schemas.topology import DEAD, QUEUES


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Letters by name, by reason, or all.

    Attributes:
        names: of letters; empty means any.
        reason: None means any.
    """

    names: frozenset[str] = frozenset()
    reason: str | None = None

    def __call__(self, letter: Letter) -> bool:
        """Whether a letter is meant."""
        return (not self.names or letter.name in self.names) and (
            self.reason is None or letter.reason == self.reason
        )

    def check_found(self, letters: Sequence[Letter]) -> None:
        """See that every name was met.

        Raises:
            StatesysError: there is no such letter (any more).
        """
        unknown = sorted(self.names - {letter.name for letter in letters})
        if unknown:
            raise StatesysError(
                f"no dead letter {', '.join(unknown[:3])}"
                + (f" and {len(unknown) - 3} more" if len(unknown) > 3 else "")
                + "; `statesys dead list` shows the ids"
            )


#: Letters that are looked at; more are only counted. Each costs a round trip to the broker.
MOST = 10_000


@dataclass
class Moved:
    """What became of the chosen letters, and of the others.

    Attributes:
        done: put back, or thrown away.
        kept: not chosen.
        stuck: chosen, but it is not known where to put them; they stay.
    """

    done: list[Letter] = field(default_factory=list)
    kept: int = 0
    stuck: list[Letter] = field(default_factory=list)


class Box:
    """The letters in `statesys.dead`.

    Args:
        admin: an open connection.

    Attributes:
        cut: the last `look` left letters out.
    """

    def __init__(self, admin: Administration) -> None:
        self._admin = admin
        self.cut = False

    def look(self, *, most: int = MOST) -> Iterator[tuple[Letter, Delivery]]:
        """Every letter, oldest first, with its delivery; all are given back at the end.

        Args:
            most: letters at most; `cut` then says that there are more.
        """
        self.cut = False
        last: int | None = None
        try:
            exists = self._admin.depth(DEAD) is not None
            for number in count(1):
                # Taking from a queue that nobody has declared yet would be an error.
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

    def replay(self, chosen: Callable[[Letter], bool]) -> Moved:
        """Put letters back into the queues they came from.

        A letter is gone only when the broker has confirmed the message that was put back. Dying
        in between leaves both, and loading a message twice changes nothing.

        Raises:
            TopologyWrong: a queue that exists is not what it must be; no letter was moved.
        """
        self._admin.declare([queue for queue in QUEUES if self._admin.depth(queue.name)])

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
        """Throw letters away."""
        return self._move(chosen, lambda _delivery, _letter: True)

    def _move(
        self, chosen: Callable[[Letter], bool], act: Callable[[Delivery, Letter], bool]
    ) -> Moved:
        """Act on the chosen letters and settle them; give the others back.

        Only as many are taken as lie there at the start: what is put back may be refused again,
        and would come round for ever.
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
                    moved.kept += 1
                elif act(delivery, letter):
                    self._admin.ack(kept.pop())
                    moved.done.append(letter)
                else:
                    moved.stuck.append(letter)
        finally:
            if kept:
                # What was acked in between is settled, so "up to" means the rest only.
                self._admin.requeue(kept[-1], up_to=True)
        return moved
