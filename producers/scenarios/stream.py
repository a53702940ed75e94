"""A client's life: many stories side by side, each a few steps long, without end.

The steps of a client form one stream. Which piece of it belongs to a forward cycle, and what a step
of it tells, are computed from the seed, the client's number and the step's place alone: nothing is
walked from the beginning and nothing is kept, so that the hundred-thousandth cycle costs as much as
the first. The stream is dealt out over lanes like cards; in a lane one story follows another, each
`STEPS` long.
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

#: Steps of a story. The usual way of an update has six; a story that is cut by this was
#: superseded, and one that ends earlier tells its end again.
STEPS = 8
#: Updates, assignments and baselines that the fleet shares: what a client can have states of.
SUBJECTS = 400
#: Stories that a client lives through side by side, at least.
_LANES = 8
#: Time between two records of one cycle.
_APART = timedelta(milliseconds=40)
#: One forward cycle in this many finds the client without a network: what it records then waits in
#: its store.
_AWAY = 16

#: What stories are about; the shares add up to the number of `CHANCES`.
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
    """What a client records in a forward cycle, in the order of its message times.

    Args:
        seed: of the fleet.
        client: its number.
        cycle: how many forward cycles it has behind it.
        mean: messages of a cycle in the long run; a single one has none to twice as many.
        now: the end of the cycle by the client's clock, aware.

    Returns:
        Messages without serial. Two about one topic are rare, but happen.
    """
    begin, end = _place(seed, client, cycle, mean), _place(seed, client, cycle + 1, mean)
    lanes = min(max(_LANES, 2 * ceil(mean)), SUBJECTS)
    return tuple(
        _message(seed, client, at, lanes, now - _APART * (end - 1 - at)) for at in range(begin, end)
    )


def away(seed: int, client: int, cycle: int) -> bool:
    """Whether a client has no network in a cycle: it records, but cannot forward."""
    return draw(seed, "away", client, cycle) % _AWAY == 0


def _place(seed: int, client: int, cycle: int, mean: float) -> int:
    """How many steps of the stream lie before a cycle."""
    if cycle == 0:
        return 0
    # Below `mean` each, these shifts keep the places in order.
    return floor(mean * (cycle + share(draw(seed, "place", client, cycle)) - 0.5))


def _message(seed: int, client: int, at: int, lanes: int, when: datetime) -> StateMessage:
    lane, place = at % lanes, at // lanes
    story, steps = divmod(place, STEPS)
    chance = draw(seed, "story", client, lane, story)
    scenario = _scenario(chance, lane, story)
    step: Step = walk(scenario, chance >> 16, steps)
    # Neighbouring stories of a client are about different subjects.
    number = (lane + lanes * story + client * 7) % SUBJECTS
    told = scenario.tell(step, Subject(number, client, chance >> 8))
    return StateMessage(
        None,
        None,
        step.topic_type,
        told.topic_id,
        told.id_type,
        told.user_name,
        told.user_sid,
        step.state_id,
        told.criticality,
        when,
        told.params,
        told.details,
        told.details_type,
    )


def _scenario(chance: int, lane: int, story: int) -> Scenario:
    # Life begins with the deployment of the client itself.
    return DEPLOYMENT if lane == story == 0 else _SCENARIOS[chance % CHANCES]
