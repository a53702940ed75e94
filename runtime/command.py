"""How every command begins: by reading the settings, and setting up the logs if it logs."""

from typing import Any

from pydantic import SecretStr

from runtime.settings import Settings, load_settings


def settings_without_logs(**flags: Any) -> Settings:
    """Read the settings, for a command that logs nothing: it starts without structlog.

    Server URLs that are not set are those of the private servers, if these run.

    Args:
        flags: as for `load_settings`.

    Raises:
        SettingsError: a setting is wrong.
        ServicesError: the list of private servers cannot be read.
    """
    return with_private_servers(load_settings(**flags))


def settings_and_logs(
    *, usual_level: str | None = None, log: str = "statesys", **flags: Any
) -> Settings:
    """The same, and set up the logs as the settings say.

    Args:
        usual_level: lowest level logged, unless a flag or variable sets one.
        log: whose log it is, see `set_up_logs`.
        flags: as for `load_settings`.

    Raises:
        As `settings_without_logs`.
    """
    # Imported late: most of the console logs nothing.
    from runtime.logs import set_up_logs  # noqa: PLC0415

    given = load_settings(**flags)
    chosen = "log_level" in given.model_fields_set
    level = None if chosen else usual_level
    set_up_logs(
        form=given.log_format,
        level=level or given.log_level,
        log=log,
        file=given.log_file,
        max_size=given.log_max_size,
    )
    return with_private_servers(given)


def with_private_servers(given: Settings) -> Settings:
    """Fill in the URLs that are not set, if the private servers of this home run."""
    missing = [name for name in ("amqp_url", "database_url") if getattr(given, name) is None]
    if "amqp_url" in missing and given.management_url is None:
        # Beside the private broker only: its counts say nothing about another broker.
        missing.append("management_url")
    if not missing:
        return given
    # Imported late: a site with servers of its own needs none of it.
    from runtime.devserver import running  # noqa: PLC0415

    servers = running(given.home)
    if servers is None:
        return given
    return given.model_copy(update={name: SecretStr(getattr(servers, name)) for name in missing})
