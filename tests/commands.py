"""The commands: all that there are, and each as an operator runs it, in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import click

from runtime.settings import PREFIX
from statesys import cli

#: Seconds that a command may take.
_TIMEOUT = 60


def bare_environment(home: object) -> dict[str, str]:
    """Nothing of this shell's settings, and no server anywhere."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
    return {**kept, f"{PREFIX}HOME": str(home)}


def run(
    *arguments: object,
    env: dict[str, str],
    given: str | None = None,
    timeout: float = _TIMEOUT,
    **options: Any,
) -> "subprocess.CompletedProcess[str]":
    """Run a `statesys` command; it must never show a traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "statesys", *map(str, arguments)],
        env=env,
        input=given or "",
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        **options,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def commands(
    command: click.Command = cli, path: str = "statesys"
) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, by its full name."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from commands(found, f"{path} {name}")
