"""Which policies are in force for a queue or an exchange, as RabbitMQ decides it. Pure.

Of the policies that match, the one with the highest priority counts, and beside it the operator
policy with the highest priority. Where both set a number, the smaller one counts; otherwise the
operator's value. Of two with the same priority RabbitMQ takes either, so both are looked at.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any, NamedTuple

from runtime.broker.inspection import Policy


class Force(NamedTuple):
    """What may be in force: the definition, and for each key of it who set it."""

    definition: dict[str, Any]
    sources: dict[str, str]


def in_force(name: str, kinds: Iterable[str], policies: Iterable[Policy]) -> Iterator[Force]:
    """Every definition that may be in force; nothing where no policy matches.

    Args:
        name: of the queue or exchange.
        kinds: the values of "apply to" that mean it.
    """
    fitting = [p for p in policies if p.apply_to in {"all", *kinds} and _matches(p.pattern, name)]
    ours = _first([policy for policy in fitting if not policy.operator])
    operators = _first([policy for policy in fitting if policy.operator])
    if fitting:
        for chosen in product(*filter(None, (ours, operators))):
            yield _merged(chosen)


def _first(policies: list[Policy]) -> list[Policy]:
    highest = max((policy.priority for policy in policies), default=0)
    return [policy for policy in policies if policy.priority == highest]


def _merged(policies: Iterable[Policy]) -> Force:
    force = Force({}, {})
    for policy in policies:
        for key, value in policy.definition.items():
            before = force.definition.get(key)
            if isinstance(before, int) and isinstance(value, int) and before < value:
                continue
            force.definition[key] = value
            force.sources[key] = _called(policy)
    return force


def _called(policy: Policy) -> str:
    return f"{'operator policy' if policy.operator else 'policy'} '{policy.name}'"


def _matches(pattern: str, name: str) -> bool:
    try:
        return re.search(pattern, name) is not None
    except re.error:
        # Erlang knows patterns that Python does not: better look at one policy too many.
        return True
