"""The progress of a demo on stderr: a live line on a terminal, plain lines in a pipe."""

import sys
import time
from typing import Self

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from producers.fleet import Progress as Step

#: Seconds between two plain lines about one step.
_PLAIN_PAUSE = 2.0


class Display:
    """Shows steps one after another; a context manager."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            disable=not self._terminal,
        )
        self._task: TaskID | None = None
        self._step = ""
        self._printed_at = 0.0

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._bars.stop()

    def step(self, name: str, state: str = "", *, done: int = 0, total: int | None = None) -> None:
        """Show the progress of a step.

        Args:
            name: of the step; a new name ends the previous step.
            state: in words.
            done, total: for the bar; `total` None is unknown.
        """
        fresh = name != self._step
        finished = total is not None and done >= total
        if not self._terminal:
            if fresh or finished or time.monotonic() - self._printed_at >= _PLAIN_PAUSE:
                click.echo(f"{name}: {state}" if state else name, err=True)
                self._printed_at = time.monotonic()
        elif fresh or self._task is None:
            self._end()
            self._task = self._bars.add_task(name, total=total, completed=done, state=state)
        else:
            self._bars.update(self._task, total=total, completed=done, state=state)
        self._step = name

    def fleet(self, step: Step) -> None:
        """Show the progress of a step of the fleet."""
        state = f"{step.done:,} of {step.total:,} clients"
        self.step(step.step, state, done=step.done, total=step.total)

    def _end(self) -> None:
        if self._task is not None:
            task = self._bars.tasks[-1]
            self._bars.update(self._task, total=task.completed or 1, completed=task.completed or 1)
            self._bars.stop_task(self._task)
