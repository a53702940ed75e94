"""The command that says the same as a page, ready to be copied into a shell."""

import shlex
from collections.abc import Mapping


def command_line(command: str, options: Mapping[str, str] | None = None, *arguments: object) -> str:
    """Write a command line.

    Args:
        command: such as `statesys clients`.
        options: values by the name of the option without dashes.
        arguments: those without an option.
    """
    words = [str(argument) for argument in arguments]
    for name, value in (options or {}).items():
        words += [f"--{name.replace('_', '-')}", value]
    return " ".join([command, *map(shlex.quote, words)])
