"""Replays and purges dead letters with the checks around it, and the words for an operator."""

import sys
from collections.abc import Collection

from console.dead.box import Box, Choice, Moved
from console.output import counted
from runtime.broker.dead_letters import Letter
from schemas.errors import StatesysError


def chosen_of(box: Box, chosen: Choice) -> list[Letter]:
    """The dead letters that a choice means, all of them.

    Raises:
        StatesysError: a name is not among the dead letters.
    """
    seen = [letter for letter, _ in box.look(most=sys.maxsize) if chosen(letter)]
    chosen.check_found(seen)
    return seen


def purge_seen(box: Box, chosen: Choice, names: Collection[str]) -> Moved:
    """Delete the chosen dead letters, but only those with the names that an operator agreed to.

    A dead letter that arrived during the question stays.
    """
    return box.purge(lambda letter: letter.name in names and chosen(letter))


def check_replayed(chosen: Choice, moved: Moved) -> None:
    """Check that a replay moved all that was chosen.

    Raises:
        StatesysError: a name was not found, or letters stay.
    """
    chosen.check_found([*moved.done, *moved.stuck])
    if moved.stuck:
        raise StatesysError(
            f"{counted(len(moved.stuck), 'letter')} cannot be put back: it is not known which "
            "queue they came from, or it took no message"
        )


def moved_words(moved: Moved, word: str) -> str:
    """How many letters were moved; `word` is `replayed` or `deleted`."""
    return f"{word} {counted(len(moved.done), 'letter')}"
