"""The end of something that has several parts."""

from collections.abc import Callable
from contextlib import ExitStack


def close_in_order(*steps: Callable[[], object]) -> None:
    """Take every step, also after one that failed; then raise what failed."""
    with ExitStack() as left:
        for step in reversed(steps):
            left.callback(step)
