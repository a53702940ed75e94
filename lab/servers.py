"""The addresses of the servers, as one value."""

from typing import NamedTuple, Self

from runtime.settings import Settings


class Servers(NamedTuple):
    """Addresses with passwords; `management_url` None when there is none."""

    amqp_url: str
    database_url: str
    management_url: str | None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The servers that the settings name, or else the private ones.

        Raises:
            SettingsError: there are neither.
        """
        return cls(
            settings.required_amqp_url(),
            settings.required_database_url(),
            settings.optional_management_url(),
        )
