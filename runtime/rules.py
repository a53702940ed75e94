"""The site's rules for resync requests: one set for the site, kept in its database."""

from datetime import timedelta
from typing import Any, NamedTuple

from runtime.durations import render_value
from runtime.settings import Settings, load_settings


class SiteRules(NamedTuple):
    """The settings that a site's loaders must share; names, units and defaults as in `Settings`."""

    min_missing_message_age: timedelta
    resync_merge_interval: timedelta
    resync_check_interval: timedelta
    resyncs_per_check: int
    resync_backlog_threshold: int
    heartbeat_interval: timedelta

    @classmethod
    def of(cls, settings: Settings) -> "SiteRules":
        """The rules that a loader with these settings is started with."""
        return cls(*(getattr(settings, name) for name in cls._fields))

    @property
    def ages(self) -> dict[str, timedelta]:
        """The rules that functions of the database take, by the names of their parameters."""
        return {
            "min_age": self.min_missing_message_age,
            "merge_interval": self.resync_merge_interval,
            "heartbeat_interval": self.heartbeat_interval,
        }

    def as_text(self) -> dict[str, str]:
        """Name -> value, as a person writes it in a flag."""
        return {name: render_value(value) for name, value in self._asdict().items()}


def given_rules(**flags: str | None) -> dict[str, Any]:
    """The rules that a command was given as flags, by name.

    Variables are ignored: a shell's environment does not change the site's rules.

    Args:
        flags: texts by field name; None is "not given".

    Raises:
        SettingsError: a value is invalid; the message names the flag.
    """
    settings = load_settings(**flags)
    return {name: getattr(settings, name) for name, text in flags.items() if text is not None}
