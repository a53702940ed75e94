"""Command lines in files, against the commands that exist."""

from collections.abc import Sequence

import click

from statesys import cli


def require_command(arguments: Sequence[str]) -> None:
    """Check that a command takes these arguments; nothing is run."""
    command: click.Command = cli
    context = click.Context(cli)
    rest = list(arguments)
    while isinstance(command, click.Group):
        found = command.get_command(context, rest[0])
        assert found is not None, f"there is no command {arguments}"
        context, command = click.Context(found, parent=context, info_name=rest.pop(0)), found
    # Raises for an unknown option or argument.
    command.make_parser(context).parse_args(rest)
