"""A state as `--clients` names it: an id, a name, or `never`."""

import re
from collections.abc import Iterable

import click

from console.names import catalogued_states, state_name

NEVER = "never"
#: The option that takes `never` too.
_OF_CLIENTS = "--clients"
#: The largest number that the column `state_id` holds.
_LARGEST = 2**63 - 1
_NUMBER = re.compile("-?[0-9]{1,19}")


def read_state(topic_type: int, text: str, *, option: str = _OF_CLIENTS) -> list[int] | None:
    """The ids of a state, or None for the clients that never told.

    Args:
        option: what gives the state, for the error.

    Raises:
        click.BadParameter: no state of the type has that name.
    """
    wanted = text.strip().casefold()
    if wanted == NEVER:
        return None
    if _NUMBER.fullmatch(wanted) and abs(int(wanted)) <= _LARGEST:
        return [int(wanted)]
    named = catalogued_states(topic_type)
    ids = [number for number, name in named.items() if name.casefold() == wanted]
    if not ids:
        raise unknown_state(topic_type, text, named, option=option)
    return ids


def unknown_state(
    topic_type: int, text: str, known: Iterable[int], *, option: str = _OF_CLIENTS
) -> click.BadParameter:
    """The error about a state that neither the catalogue nor a client has.

    Args:
        known: ids of the states that exist.
        option: what gives the state.
    """
    names = [_words(topic_type, number) for number in sorted(known)]
    if option == _OF_CLIENTS:
        names.append(NEVER)
    return click.BadParameter(
        f"{text!r} is no known state of topic type {topic_type}; known are: {', '.join(names)}",
        param_hint=f"'{option}'",
    )


def _words(topic_type: int, state_id: int) -> str:
    name = state_name(topic_type, state_id)
    return name if name == str(state_id) else f"{state_id} {name}"
