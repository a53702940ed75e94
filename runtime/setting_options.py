"""Options made from settings: unit and reason of a setting are written once, in `Settings`."""

from datetime import timedelta
from typing import Any

import click

from runtime.durations import render_duration
from runtime.options import Decorator, together
from runtime.settings import Settings, variable_of


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
        help=f"{info.description} [{variable_of(field)}, default {shown}]",
    )


_LOG = ("log_format", "log_level", "log_file", "log_max_size")
#: Options of every worker.
log_options = together(*map(setting, _LOG))


def take_log_flags(flags: dict[str, Any]) -> dict[str, Any]:
    """Take the values of `log_options` out of those of all flags of a command."""
    return {name: flags.pop(name) for name in _LOG}


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
