"""Close several things one after another."""

from collections.abc import Callable
from contextlib import ExitStack


def close_in_order(*steps: Callable[[], object]) -> None:
    """Run every step, also after one that failed; then raise the error."""
    with ExitStack() as left:
        for step in reversed(steps):
            left.callback(step)
