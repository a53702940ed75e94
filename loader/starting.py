"""What a loader looks at before it starts: the database, its rights, and the site's settings."""

import structlog

from loader.rights import require_place_to_load
from runtime.database import require_own_sessions, shared_session
from runtime.settings import Settings
from runtime.site_settings import site_settings

_log = structlog.get_logger()


def settings_at_site(given: Settings) -> Settings:
    """The settings of a loader at its site: those given, then imported ones, then defaults.

    Raises:
        SettingsError: there is no URL of a server.
        StatesysError: a newer statesys made the tables, or a pooler lends out sessions.
        SchemaMissing: the tables are not migrated to this version.
        DatabaseUnavailable: the database cannot be reached, or the role lacks a right.
    """
    given.required_amqp_url()
    url = given.required_database_url()
    require_own_sessions(url)
    require_place_to_load(url)
    with shared_session(url, "statesys loader") as session:
        site = site_settings(session)
    taken = site.imported - given.model_fields_set
    if taken:
        values = site.as_text()
        _log.info("loader.site_settings_taken", **{name: values[name] for name in sorted(taken)})
    return site.followed_by(given)
