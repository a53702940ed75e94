"""Parts of command lines: options made from settings, and the types of their values.

Unit and reason of a setting are written once, in `Settings`.
"""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias
from uuid import UUID

import click

from runtime.durations import parse_duration, render_duration
from runtime.settings import PREFIX, Settings
from schemas.report import MAX_NAME_LENGTH

Command = Callable[..., Any]
Decorator = Callable[[Command], Command]
#: What a person writes for a client: an id or a name.
GivenClient: TypeAlias = UUID | str

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


client_argument = click.argument("client", metavar="CLIENT", type=ClientType())


def together(*options: Decorator) -> Decorator:
    """Several options as one decorator, in the order of the help."""

    def apply(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return apply


def setting(field: str, *flags: str) -> Decorator:
    """An option for a field of `Settings`.

    The value stays a text here; `load_settings` validates it like that of a variable.

    Args:
        field: name of the field.
        flags: such as `--threads`; the field's own name when none is given.
    """
    info = Settings.model_fields[field]
    default = info.default
    kind, shown = {timedelta: "DURATION", int: "N"}.get(type(default), "WORD"), default
    if isinstance(default, timedelta):
        shown = render_duration(default)
    elif default is None:
        kind, shown = "N", "unset"
    return click.option(
        *(flags or (f"--{field.replace('_', '-')}",)),
        field,
        metavar=kind,
        help=f"{info.description} [{PREFIX}{field.upper()}, default {shown}]",
    )


#: Options of every worker.
log_options = together(setting("log_format"), setting("log_level"))
exit_when_empty_option = click.option(
    "--exit-when-empty", is_flag=True, help="End when nothing has been left for 1 s."
)


def site_rule(field: str) -> Decorator:
    """An option for one field of `SiteRules`, which takes the place of the site's rule.

    `given_rules` validates the text.
    """
    info = Settings.model_fields[field]
    return click.option(
        f"--{field.replace('_', '-')}",
        field,
        metavar="DURATION" if isinstance(info.default, timedelta) else "N",
        help=f"{info.description} [default: the site's]",
    )


def json_option(command: Command) -> Command:
    """The option `--json`: data for a program instead of a table for a person."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print JSON on stdout instead of a table."
    )(command)
