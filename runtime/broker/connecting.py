"""What both kinds of connection share: parameters from a URL, and errors in words."""

import logging
from typing import Any

import pika
from pika.exceptions import (
    AMQPConnectionError,
    AMQPError,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
)

from runtime.broker.properties import Properties
from schemas.errors import BrokerUnavailable, SettingsError

#: Seconds without a sign of life before a connection counts as lost (RabbitMQ's default is 60).
HEARTBEAT = 30
#: Seconds to wait for the broker's answer while connecting.
CONNECT_TIMEOUT = 10

# pika logs every lost connection with a traceback of its own; our log has one line for it.
logging.getLogger("pika").setLevel(logging.CRITICAL)


def parameters(url: str, name: str) -> pika.URLParameters:
    """Connection parameters from an AMQP URL.

    Args:
        url: `amqp://user:password@host:port/vhost`, or `amqps://`.
        name: shown in the RabbitMQ UI's list of connections.

    Raises:
        SettingsError: for a URL that cannot be used.
    """
    try:
        # pika takes every URL, even an empty one, and means localhost as guest.
        if not url.startswith(("amqp://", "amqps://")):
            raise ValueError("another scheme")
        found = pika.URLParameters(url)
    except (ValueError, TypeError, IndexError, AttributeError):
        # Not the error's words: they quote the URL, and perhaps the password in it.
        raise SettingsError(
            "STATESYS_AMQP_URL cannot be used; write it as amqp://user:password@host:5672/vhost, "
            "with %XX for special characters in user, password and vhost"
        ) from None
    found.heartbeat = HEARTBEAT
    found.client_properties = {"connection_name": name}
    found.socket_timeout = CONNECT_TIMEOUT
    found.stack_timeout = CONNECT_TIMEOUT
    found.blocked_connection_timeout = None
    found.connection_attempts = 1
    return found


def unavailable(
    error: BaseException | str | None, found: pika.connection.Parameters
) -> BrokerUnavailable:
    """Put a lost or refused connection into one sentence that says what to do."""
    where = f"{found.host}:{found.port}"
    error = _cause(error)
    if isinstance(error, ProbableAuthenticationError):
        return BrokerUnavailable(
            f"RabbitMQ at {where} refused user or password; check STATESYS_AMQP_URL"
        )
    if isinstance(error, ProbableAccessDeniedError):
        return BrokerUnavailable(
            f"RabbitMQ at {where} refused virtual host {found.virtual_host!r}; "
            "check STATESYS_AMQP_URL and the user's permissions"
        )
    return BrokerUnavailable(
        f"RabbitMQ at {where}: {_words(error)}; "
        "start it (`statesys up`) or point STATESYS_AMQP_URL at one that runs"
    )


def _cause(error: Any) -> Any:
    """What pika wrapped: a workflow's last failure, in it the step's, in it the socket's."""
    if not isinstance(error, BaseException):
        return error
    tried = getattr(error, "exceptions", None)
    inner = tried[-1] if tried else getattr(error, "exception", None)
    if inner is None and isinstance(error, AMQPConnectionError) and error.args:
        inner = error.args[0]
    return _cause(inner) if isinstance(inner, BaseException) else error


def _words(error: Any) -> str:
    if isinstance(error, AMQPError):
        code, text = getattr(error, "reply_code", None), getattr(error, "reply_text", None)
        if text:
            return f"{code} {text}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__


def persistent(**properties: Any) -> Properties:
    """Properties of a message that survives a restart of the broker."""
    return Properties(delivery_mode=2, **properties)
