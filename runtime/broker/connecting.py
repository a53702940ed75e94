"""For both kinds of connection: parameters from a URL, and errors with clear messages."""

import logging
import re
import ssl
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

import pika
from pika.exceptions import (
    AMQPConnectionError,
    AMQPError,
    ChannelClosedByBroker,
    IncompatibleProtocolError,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
)

from runtime.broker import tls, unlike
from runtime.broker.properties import Properties
from runtime.urls import UnusableURL, require_host, strictly_split, why
from schemas.errors import BrokerUnavailable, PermissionMissing, SettingsError, TopologyWrong

Permission = Literal["configure", "write", "read"]

#: AMQP's reply code for a missing permission.
ACCESS_REFUSED = 403

#: Seconds without a sign of life before a connection counts as lost (RabbitMQ's default is 60).
HEARTBEAT = 30
#: Seconds to wait for the broker's answer while connecting.
CONNECT_TIMEOUT = 10

#: Parameters that a URL may have for pika, in addition to the files of `tls`.
_HONOURED = ("heartbeat", "channel_max", "frame_max", "locale")
#: Parameters that pika would accept too. The worker decides about timeouts, retries and blocked
#: connections, and an SSL context made by pika may check nothing.
_OURS = (
    "socket_timeout",
    "stack_timeout",
    "connection_attempts",
    "retry_delay",
    "blocked_connection_timeout",
    "client_properties",
    "ssl_options",
    "tcp_options",
)

# pika logs every lost connection with a traceback of its own; our log has one line for it.
logging.getLogger("pika").setLevel(logging.CRITICAL)


def parameters(url: str, name: str) -> pika.URLParameters:
    """Connection parameters from an AMQP URL.

    Args:
        url: `amqp://user:password@host:port/vhost`, or `amqps://` with the files of `tls`.
        name: shown in the RabbitMQ UI's list of connections.

    Raises:
        SettingsError: for a URL that cannot be used.
        BrokerUnavailable: a certificate or key cannot be read now.
    """
    try:
        # pika accepts every URL, even an empty one, which then means guest at localhost.
        if not url.startswith(("amqp://", "amqps://")):
            raise UnusableURL("another scheme")
        strictly_split(url)
        url, files = tls.divided(url)
        # pika would use only the part before the second slash.
        if "/" in urlsplit(url).path[1:]:
            raise UnusableURL("a slash in the virtual host")
        _require_honoured(urlsplit(url).query)
        found = pika.URLParameters(url)
        require_host(found.host)
    except (ValueError, TypeError, IndexError, AttributeError) as error:
        # Without pika's message: it quotes the URL, and perhaps the password in it.
        raise SettingsError(
            f"STATESYS_AMQP_URL cannot be used{why(error)}; write it as "
            "amqp://user:password@host:5672/vhost, "
            "with %XX for special characters in user, password and vhost; amqps:// may name "
            "?cacertfile=, &certfile= and &keyfile="
        ) from None
    if found.ssl_options is not None:
        found.ssl_options = pika.SSLOptions(tls.context(files))
    if found.heartbeat is None:
        found.heartbeat = HEARTBEAT
    found.client_properties = {"connection_name": name}
    found.socket_timeout = CONNECT_TIMEOUT
    found.stack_timeout = CONNECT_TIMEOUT
    found.blocked_connection_timeout = None
    found.connection_attempts = 1
    return found


def _require_honoured(query: str) -> None:
    """Refuse parameters that we do not use: none that a person writes is ignored silently."""
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in _OURS:
            raise UnusableURL(f"statesys itself decides {name}; leave it out")
        if name not in _HONOURED:
            raise UnusableURL("it has a parameter that statesys does not know")
        if not value:
            raise UnusableURL(f"{name} has no value")


def failure(
    error: BaseException | str | None,
    found: pika.connection.Parameters,
    permission: Permission | None = None,
) -> BrokerUnavailable | PermissionMissing | TopologyWrong:
    """Our error for a lost or refused connection or channel; its message says what to do.

    Args:
        error: of pika, or the reason as text.
        found: parameters of the connection.
        permission: the one that the step needs, since older brokers do not name it; by default
            write for an exchange, read for a queue.
    """
    where = f"{found.host}:{found.port}"
    error = _cause(error)
    if isinstance(error, ChannelClosedByBroker):
        lasting = _lasting(error, where, permission)
        if lasting is not None:
            return lasting
    if isinstance(error, ProbableAuthenticationError):
        return BrokerUnavailable(
            f"RabbitMQ at {where} refused user or password; check STATESYS_AMQP_URL"
        )
    if isinstance(error, ProbableAccessDeniedError):
        return BrokerUnavailable(
            f"RabbitMQ at {where} refused virtual host {found.virtual_host!r}; "
            "check STATESYS_AMQP_URL and the user's permissions"
        )
    if isinstance(error, ssl.SSLError):
        return BrokerUnavailable(
            f"RabbitMQ at {where}: {tls.words(error)}; check scheme, host, port and the files "
            "that STATESYS_AMQP_URL names"
        )
    if isinstance(error, IncompatibleProtocolError):
        return BrokerUnavailable(
            f"RabbitMQ at {where}: it does not speak AMQP there; check the port of "
            "STATESYS_AMQP_URL, and write amqps:// for one with TLS"
        )
    return BrokerUnavailable(
        f"RabbitMQ at {where}: {_words(error)}; "
        "start it (`statesys up`) or point STATESYS_AMQP_URL at one that runs"
    )


def _lasting(
    error: ChannelClosedByBroker, where: str, permission: Permission | None
) -> PermissionMissing | TopologyWrong | None:
    """The error if an operator has to repair something; None for all others."""
    if error.reply_code == ACCESS_REFUSED:
        return PermissionMissing(
            f"RabbitMQ at {where}: {_missing(error.reply_text, permission)}; grant it with "
            "`rabbitmqctl set_permissions`, or check the user of STATESYS_AMQP_URL"
        )
    difference = unlike.words(error.reply_text)
    return None if difference is None else TopologyWrong(f"RabbitMQ at {where}: {difference}")


def _cause(error: Any) -> Any:
    """The innermost error: pika wraps the socket's in the step's, and that in the workflow's."""
    if not isinstance(error, BaseException):
        return error
    tried = getattr(error, "exceptions", None)
    inner = tried[-1] if tried else getattr(error, "exception", None)
    if inner is None and isinstance(error, AMQPConnectionError) and error.args:
        inner = error.args[0]
    return _cause(inner) if isinstance(inner, BaseException) else error


def _missing(text: str, permission: Permission | None) -> str:
    """RabbitMQ's text with the permission, such as "read access to queue 'x' … refused …"."""
    words = text.removeprefix("ACCESS_REFUSED - ")
    if permission is None:
        permission = "write" if "access to exchange" in words else "read"
    return re.sub("^access to", f"{permission} access to", words)


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
