"""How every command begins."""

from typing import Any

from pydantic import SecretStr

from runtime.devserver import running
from runtime.logs import set_up_logs
from runtime.settings import Settings, load_settings


def settings_and_logs(*, usual_level: str | None = None, **flags: Any) -> Settings:
    """Read the settings, and set up the logs as they say.

    Server URLs that are not set are those of the private servers, if these run.

    Args:
        usual_level: lowest level logged, unless a flag or variable sets one.
        flags: as for `load_settings`.

    Raises:
        SettingsError: a setting is wrong.
        ServicesError: the list of private servers cannot be read.
    """
    settings = load_settings(**flags)
    chosen = "log_level" in settings.model_fields_set
    level = None if chosen else usual_level
    set_up_logs(form=settings.log_format, level=level or settings.log_level)
    return with_private_servers(settings)


def with_private_servers(settings: Settings) -> Settings:
    """Fill in the URLs that are not set, if the private servers of this home run."""
    missing = [name for name in ("amqp_url", "database_url") if getattr(settings, name) is None]
    if "amqp_url" in missing and settings.management_url is None:
        # Beside the private broker only: its counts say nothing about another broker.
        missing.append("management_url")
    servers = running(settings.home) if missing else None
    if servers is None:
        return settings
    return settings.model_copy(update={name: SecretStr(getattr(servers, name)) for name in missing})
