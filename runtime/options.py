"""Parts of command lines: types of values, and options that several commands have.

Options made from settings are in `setting_options`: this module needs no settings, which are slow
to import.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias
from uuid import UUID

import click

from runtime.durations import parse_duration
from schemas.report import MAX_NAME_LENGTH

Command = Callable[..., Any]
Decorator = Callable[[Command], Command]
#: What a person writes for a client: an id or a name.
GivenClient: TypeAlias = UUID | str

#: An option whose default is in its help.
option_with_default = partial(click.option, show_default=True)

#: A directory, which need not exist.
DIRECTORY = click.Path(path_type=Path, file_okay=False)


class ClientType(click.ParamType[GivenClient]):
    """How a person names a client: `GUID:…` or bare, with braces or without, or by its name.

    `runtime.client_names` finds the client of a name.
    """

    name = "client"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> GivenClient:
        """Return the id, or the text as a name."""
        if isinstance(value, UUID):
            return value
        text = str(value).strip()
        marked = text[:5].upper() == "GUID:"
        try:
            return UUID(text[5:].strip() if marked else text)
        except ValueError:
            if marked:
                self.fail(f"{text!r} is no client id; write it as GUID:xxxxxxxx-xxxx-…", param, ctx)
        if not text or len(text) > MAX_NAME_LENGTH or not text.isprintable():
            self.fail(f"{text[:40]!r} is neither a client's id nor its name", param, ctx)
        return text


class DurationType(click.ParamType[timedelta]):
    """A duration as people write them: `60s`, `5m`."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """Read a duration."""
        try:
            found = parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        assert isinstance(found, timedelta)
        return found


class MomentType(click.ParamType[datetime]):
    """A moment as ISO 8601; UTC unless it names another zone."""

    name = "moment"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Read a moment."""
        if isinstance(value, datetime):
            return value
        try:
            found = datetime.fromisoformat(str(value).strip())
        except ValueError:
            self.fail(f"{value!r} is no moment; write it as 2026-11-24T08:30:00Z", param, ctx)
        # A duration can be taken from it, and PostgreSQL can store it.
        if not 1970 <= found.year < 9999:
            self.fail("the year is not one from 1970 to 9998", param, ctx)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


client_argument = click.argument("client", metavar="CLIENT", type=ClientType())


def together(*options: Decorator) -> Decorator:
    """Several options as one decorator, in the order of the help."""

    def apply(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return apply


exit_when_empty_option = click.option(
    "--exit-when-empty", is_flag=True, help="End when nothing has been left for 1 s."
)


def json_option(command: Command) -> Command:
    """The option `--json`: data for a program instead of a table for a person."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print JSON on stdout instead of a table."
    )(command)
