"""Command-line options made from settings, so that unit and reason are written once."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import click

from runtime.durations import render_duration
from runtime.settings import PREFIX, Settings

Command = TypeVar("Command", bound=Callable[..., Any])


def setting(field: str, *flags: str) -> Callable[[Command], Command]:
    """An option for a field of `Settings`.

    The value stays a text here; `load_settings` validates it, in the same way as a variable.

    Args:
        field: name of the field.
        flags: such as `--threads`; the field's own name when none is given.
    """
    info = Settings.model_fields[field]
    default = info.default
    kind, shown = {timedelta: "DURATION", int: "N"}.get(type(default), "WORD"), default
    if isinstance(default, timedelta):
        shown = render_duration(default)
    return click.option(
        *(flags or (f"--{field.replace('_', '-')}",)),
        field,
        metavar=kind,
        help=f"{info.description} [{PREFIX}{field.upper()}, default {shown}]",
    )


def site_rule(field: str) -> Callable[[Command], Command]:
    """An option of a command that goes by the site's rules, for one field of `SiteRules`.

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
