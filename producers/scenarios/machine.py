"""State machines as tables, walked by chance that can be repeated."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

#: Eighths: the chances of the branches of a step add up to this.
CHANCES = 8
_BITS = 3


class Step(NamedTuple):
    """What is told: a topic type and a state id of the catalogue."""

    topic_type: int
    state_id: int


class Subject(NamedTuple):
    """What a story is about.

    Attributes:
        number: which of the updates, assignments or baselines that the fleet shares.
        client: the client's number.
        chance: a draw of the story, for what is told beside the state.
    """

    number: int
    client: int
    chance: int


class Told(NamedTuple):
    """What a message tells beside its state; see `schemas.report.StateMessage`."""

    topic_id: str
    id_type: int | None = None
    params: tuple[str, ...] = ()
    user_name: str = ""
    user_sid: str = ""
    criticality: int = 0
    details: str | None = None
    details_type: str | None = None


class Scenario(NamedTuple):
    """A state machine, and the words to its steps.

    Attributes:
        start: the first step.
        follows: the steps that may come next, with their chances in eighths. A step without an
            entry is an end: evaluated again, it tells the same.
        tell: the words to a step about a subject.
    """

    start: Step
    follows: Mapping[Step, tuple[tuple[int, Step], ...]]
    tell: Callable[[Step, Subject], Told]


def walk(scenario: Scenario, chance: int, steps: int) -> Step:
    """The step at which a story is.

    Args:
        chance: a draw; three of its bits decide each branch.
        steps: how many have been taken since the start.
    """
    step = scenario.start
    for _ in range(steps):
        branches = scenario.follows.get(step)
        if branches is None:
            break
        chance, at = chance >> _BITS, chance % CHANCES
        for share, following in branches:
            if at < share:
                step = following
                break
            at -= share
    return step
