"""Names of topics and states where Microsoft documents one; otherwise their numbers."""

from functools import cache

from schemas.topics import catalogue, topic_types


@cache
def _names() -> tuple[dict[int, str], dict[tuple[int, int], str]]:
    types: dict[int, str] = {}
    states: dict[tuple[int, int], str] = {}
    for row in catalogue():
        types.setdefault(row.topic_type, row.topic_name)
        if row.state_id is not None and row.state_name:
            states[row.topic_type, row.state_id] = row.state_name
    return types, states


def topic_name(topic_type: int) -> str:
    """The name of a topic type, or its number."""
    return _names()[0].get(topic_type) or str(topic_type)


def state_name(topic_type: int, state_id: int) -> str:
    """The name of a state, or its number."""
    return _names()[1].get((topic_type, state_id)) or str(state_id)


def catalogued_states(topic_type: int) -> dict[int, str]:
    """State id -> name, of the states of a type that have one."""
    return {state: name for (kind, state), name in _names()[1].items() if kind == topic_type}


def topic_sentence(topic_type: int) -> str | None:
    """What a topic type is about, in a sentence; None for a type that is not in the catalogue."""
    found = topic_types().get(topic_type)
    return found.sentence if found else None
