"""The settings in force, for people: value as text, unit, and where the value comes from."""

from datetime import timedelta
from typing import NamedTuple

from pydantic import SecretStr

from runtime.durations import render_value
from runtime.settings import Settings, variable_of
from runtime.site_settings import DEFAULT, OF_A_FILE, SiteSettings
from runtime.urls import strictly_split

#: Shown in the place of a secret, as pydantic shows it.
MASKED = "**********"
PRIVATE = "private servers"
#: Not published: paths on the worker's machine.
_LOCAL = {"home", "log_file"}

#: Units of the settings that are numbers.
_UNITS = {
    "log_max_size": "bytes",
    "loader_threads": "threads",
    "loader_chunk_size": "KiB of SMX",
    "chunks_together": "chunks",
    "max_chunks_fetched": "chunks",
    "batch_size": "KiB of SMX",
    "max_report_size": "KiB",
    "max_missing_ranges": "ranges",
    "resyncs_per_check": "clients",
    "resync_backlog_threshold": "batches",
}


class InForce(NamedTuple):
    """One setting.

    Attributes:
        value: as a person writes it in a variable, secrets masked; None if it is not set.
        unit: of the value; a duration has its unit in the value.
        origin: `default`, the name of a variable, `private servers`, or `site control file`.
    """

    name: str
    value: str | None
    unit: str
    origin: str


def in_force(
    given: Settings, completed: Settings, site: SiteSettings | None = None
) -> list[InForce]:
    """The settings of a command, in the order of `Settings`.

    Args:
        given: as `load_settings` read them.
        completed: the same, with the URLs of the private servers.
        site: what the site keeps, which a loader would take; None if it is not known.
    """
    # With the URLs, `completed` has more that seems given.
    taken = frozenset[str]() if site is None else site.imported - given.model_fields_set
    shown = completed if site is None else site.followed_by(completed)
    return [
        InForce(
            name,
            _shown(name, shown),
            unit(name),
            OF_A_FILE if name in taken else _origin(name, given, completed),
        )
        for name in Settings.model_fields
    ]


def published_settings(settings: Settings) -> dict[str, str]:
    """The settings that a worker tells the site: no secret, no URL, no path of its machine."""
    found = {}
    for name in Settings.model_fields:
        value = _effective(name, settings)
        if not is_secret(name) and name not in _LOCAL and value is not None:
            found[name] = render_value(value)
    return found


def unit(name: str) -> str:
    """The unit of a setting, such as `KiB`; empty for a word."""
    if isinstance(Settings.model_fields[name].default, timedelta):
        return "duration"
    return "URL" if is_secret(name) else _UNITS.get(name, "")


def is_secret(name: str) -> bool:
    """Whether the value of a setting holds a password."""
    return "SecretStr" in str(Settings.model_fields[name].annotation)


def _effective(name: str, settings: Settings) -> object:
    # Unset means: depends on the machine.
    return settings.threads if name == "loader_threads" else getattr(settings, name)


def _shown(name: str, settings: Settings) -> str | None:
    value = _effective(name, settings)
    if value is None:
        return None
    return mask(value.get_secret_value()) if isinstance(value, SecretStr) else render_value(value)


def _origin(name: str, given: Settings, completed: Settings) -> str:
    if name in given.model_fields_set:
        return variable_of(name)
    return PRIVATE if getattr(given, name) != getattr(completed, name) else DEFAULT


def mask(url: str) -> str:
    """A URL without its password and its parameters, which may hold one too."""
    try:
        parts = strictly_split(url)
    except ValueError:
        return MASKED
    user, at, hosts = parts.netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    masked = f"{name}:{MASKED}" if colon else name
    more = "?..." if parts.query else ""
    return f"{parts.scheme}://{masked}{at}{hosts}{parts.path}{more}"
