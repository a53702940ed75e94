"""How far a bench is, for a person at a terminal; a program sees nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from rich.console import Console

#: Takes a sentence.
Show: TypeAlias = Callable[[str], None]


@contextmanager
def steps() -> Iterator[Show]:
    """A line on stderr that is always the latest step."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _step: None
        return
    with console.status("starting private servers") as status:
        yield status.update
