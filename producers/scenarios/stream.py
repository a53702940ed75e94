"""The endless stream of state messages that a client records.

A story is one pass through a scenario, `STEPS` steps long. A client has several tracks side by
side; in each track one story follows another. The stream takes one step from each track in turn.
The steps of a forward cycle, and the message of each step, are computed from the seed, the client's
number and the place in the stream alone. No earlier step is needed, so the hundred-thousandth cycle
costs as much as the first.
"""

from datetime import datetime, timedelta
from math import ceil, floor

from producers.scenarios.assignments import ASSIGNMENT
from producers.scenarios.baselines import BASELINE
from producers.scenarios.deployment import DEPLOYMENT
from producers.scenarios.machine import CHANCES, Scenario, Step, Subject, walk
from producers.scenarios.scans import SCAN
from producers.scenarios.updates import UPDATE
from producers.seeded import draw, share
from schemas.report import StateMessage

#: Steps of a story. An update usually needs six. A longer story is cut here, as if its subject were
#: superseded; a shorter one repeats its last step.
STEPS = 8
#: Number of updates, assignments and baselines, each shared by the whole fleet.
SUBJECTS = 400
#: Fewest stories of a client that go on side by side.
_TRACKS = 8
#: Time between two records of one cycle.
_APART = timedelta(milliseconds=40)
#: In one forward cycle of this many, a client has no network: what it records waits in its store.
_AWAY = 16

#: The scenarios of stories, each in proportion to its share of the `CHANCES` entries.
_SCENARIOS: tuple[Scenario, ...] = (
    UPDATE,
    UPDATE,
    UPDATE,
    UPDATE,
    ASSIGNMENT,
    BASELINE,
    BASELINE,
    SCAN,
)
assert len(_SCENARIOS) == CHANCES


def recorded(
    seed: int, client: int, cycle: int, mean: float, now: datetime
) -> tuple[StateMessage, ...]:
    """Make the messages that a client records in a forward cycle, in order of message time.

    Args:
        seed: of the fleet.
        client: number of the client.
        cycle: number of forward cycles before this one.
        mean: average number of messages in a cycle; one cycle has between 0 and twice as many.
        now: the end of the cycle by the client's clock, timezone-aware.

    Returns:
        Messages without serial. Occasionally two have the same topic.
    """
    begin, end = _place(seed, client, cycle, mean), _place(seed, client, cycle + 1, mean)
    tracks = min(max(_TRACKS, 2 * ceil(mean)), SUBJECTS)
    return tuple(
        _message(seed, client, at, tracks, now - _APART * (end - 1 - at))
        for at in range(begin, end)
    )


def away(seed: int, client: int, cycle: int) -> bool:
    """Whether a client has no network in a forward cycle: it records, but cannot forward."""
    return draw(seed, "away", client, cycle) % _AWAY == 0


def _place(seed: int, client: int, cycle: int, mean: float) -> int:
    """Return the number of steps in the stream before a cycle."""
    if cycle == 0:
        return 0
    # The shifts of two cycles differ by less than `mean`, so the places stay in order.
    return floor(mean * (cycle + share(draw(seed, "place", client, cycle)) - 0.5))


def _message(seed: int, client: int, at: int, tracks: int, when: datetime) -> StateMessage:
    track, place = at % tracks, at // tracks
    story, steps = divmod(place, STEPS)
    random_bits = draw(seed, "story", client, track, story)
    scenario = _scenario(random_bits, track, story)
    step: Step = walk(scenario, random_bits >> 16, steps)
    # The stories that a client has side by side are about different subjects.
    number = (track + tracks * story + client * 7) % SUBJECTS
    values = scenario.values_for(step, Subject(number, client, random_bits >> 8))
    return StateMessage(
        None,
        None,
        step.topic_type,
        values.topic_id,
        values.id_type,
        values.user_name,
        values.user_sid,
        step.state_id,
        values.criticality,
        when,
        values.params,
        values.details,
        values.details_type,
    )


def _scenario(random_bits: int, track: int, story: int) -> Scenario:
    # The first story of a client is its own deployment.
    return DEPLOYMENT if track == story == 0 else _SCENARIOS[random_bits % CHANCES]
