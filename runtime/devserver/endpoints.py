"""Where the private servers answer."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Endpoints:
    """The three addresses, user and password included."""

    amqp_url: str
    database_url: str
    management_url: str
