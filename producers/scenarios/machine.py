"""State machines as tables, with branches chosen by seeded random numbers."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

#: The chances of the branches of a step are eighths; they add up to this.
CHANCES = 8
_BITS = 3


class Step(NamedTuple):
    """A step of a scenario: a topic type and a state id of the catalogue."""

    topic_type: int
    state_id: int


class Subject(NamedTuple):
    """What a story, one pass through a scenario, is about.

    Attributes:
        number: number of the update, assignment or baseline, shared by the whole fleet.
        client: number of the client.
        random_bits: seeded random number of the story, for values beside the state.
    """

    number: int
    client: int
    random_bits: int


class Values(NamedTuple):
    """The values of a message beside its state; see `schemas.report.StateMessage`."""

    topic_id: str
    id_type: int | None = None
    params: tuple[str, ...] = ()
    user_name: str = ""
    user_sid: str = ""
    criticality: int = 0
    details: str | None = None
    details_type: str | None = None


class Scenario(NamedTuple):
    """A state machine, and the message values for its steps.

    Attributes:
        start: the first step.
        follows: for each step, the possible next steps with their chances in eighths. A step
            without an entry is final: further messages repeat it.
        values_for: returns the message values for a step and a subject.
    """

    start: Step
    follows: Mapping[Step, tuple[tuple[int, Step], ...]]
    values_for: Callable[[Step, Subject], Values]


def walk(scenario: Scenario, random_bits: int, steps: int) -> Step:
    """Return the step that a story has reached.

    Args:
        scenario: the state machine.
        random_bits: seeded random number of the story; three of its bits decide each branch.
        steps: number of steps since the start.
    """
    step = scenario.start
    for _ in range(steps):
        branches = scenario.follows.get(step)
        if branches is None:
            break
        random_bits, at = random_bits >> _BITS, random_bits % CHANCES
        for share, following in branches:
            if at < share:
                step = following
                break
            at -= share
    return step
