"""For both kinds of connection: a host of a URL that accepts it, and errors with clear messages."""

import logging
import re
import ssl
from collections.abc import Callable
from typing import Any, Literal, TypeVar
from urllib.parse import parse_qsl, urlsplit

import pika
from pika.adapters.utils.connection_workflow import AMQPConnectorStackTimeout
from pika.exceptions import (
    AMQPConnectionError,
    AMQPError,
    ChannelClosedByBroker,
    ConnectionClosedByBroker,
    ConnectionOpenAborted,
    IncompatibleProtocolError,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
)

from runtime.broker import tls, unlike
from runtime.broker.hosts import addresses, in_random_order
from runtime.broker.properties import Properties
from runtime.urls import UnusableURL, require_host, why
from schemas.errors import BrokerUnavailable, PermissionMissing, SettingsError, TopologyWrong

T = TypeVar("T")
Permission = Literal["configure", "write", "read"]

#: AMQP's reply codes for a missing permission, and for an error of the broker.
ACCESS_REFUSED, INTERNAL_ERROR = 403, 541

#: Seconds without a sign of life before a connection counts as lost (RabbitMQ's default is 60).
HEARTBEAT = 30
#: Seconds to wait for the answer of one host while connecting.
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


class HostUnavailable(BrokerUnavailable):
    """One host cannot be reached, or refused the connection.

    Attributes:
        reason: host and what is wrong, without advice.
    """

    reason = ""


def connect(url: str, name: str, attempt: Callable[[pika.URLParameters], T]) -> T:
    """Try each host of an AMQP URL once, in random order, until one accepts.

    A host that refuses user or virtual host is passed over too: a node that lost its cluster
    knows neither, while the others do.

    Args:
        url, name: as `parameters`.
        attempt: connects to one host; called with its parameters.

    Raises:
        SettingsError: for a URL that cannot be used.
        BrokerUnavailable: no host accepts; the message has the reason of each.
    """
    hosts = parameters(url, name)
    failures: dict[str, HostUnavailable] = {}
    for host in in_random_order(hosts):
        try:
            return attempt(host)
        except HostUnavailable as error:
            failures[where(host)] = error
    if len(hosts) == 1:
        raise failures[where(hosts[0])]
    # In the order of the URL: the same trouble gives the same text, and one line in the log.
    reasons = "; ".join(failures[where(host)].reason for host in hosts)
    raise BrokerUnavailable(
        f"no host of STATESYS_AMQP_URL accepts a connection: {reasons}; "
        "start one of them, or correct the URL"
    )


def parameters(url: str, name: str) -> list[pika.URLParameters]:
    """Connection parameters from an AMQP URL, for each of its hosts.

    Args:
        url: `amqp://user:password@host:port/vhost`, or `amqps://` with the files of `tls`; several
            hosts with commas between.
        name: shown in the RabbitMQ UI's list of connections.

    Raises:
        SettingsError: for a URL that cannot be used.
        BrokerUnavailable: a certificate or key cannot be read now.
    """
    try:
        # pika accepts every URL, even an empty one, which then means guest at localhost.
        if not url.startswith(("amqp://", "amqps://")):
            raise UnusableURL("another scheme")
        return [_of_host(one, name) for one in addresses(url)]
    except (ValueError, TypeError, IndexError, AttributeError) as error:
        # Without pika's message: it quotes the URL, and perhaps the password in it.
        raise SettingsError(
            f"STATESYS_AMQP_URL cannot be used{why(error)}; write it as "
            "amqp://user:password@host:5672/vhost, several hosts with commas between, "
            "with %XX for special characters in user, password and vhost; amqps:// may name "
            "?cacertfile=, &certfile= and &keyfile="
        ) from None


def _of_host(url: str, name: str) -> pika.URLParameters:
    url, files = tls.divided(url)
    # pika would use only the part before the second slash.
    if "/" in urlsplit(url).path[1:]:
        raise UnusableURL("a slash in the virtual host")
    _require_honoured(urlsplit(url).query)
    found = pika.URLParameters(url)
    require_host(found.host)
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


def where(host: pika.connection.Parameters) -> str:
    """Host and port, for messages."""
    name = f"[{host.host}]" if ":" in host.host else host.host
    return f"{name}:{host.port}"


def failure(
    error: BaseException | str | None,
    found: pika.connection.Parameters,
    permission: Permission | None = None,
) -> HostUnavailable | PermissionMissing | TopologyWrong:
    """Our error for a lost or refused connection or channel; its message says what to do.

    Args:
        error: of pika, or the reason as text.
        found: parameters of the connection.
        permission: the one that the step needs, since older brokers do not name it; by default
            write for an exchange, read for a queue.
    """
    error = _cause(error)
    if isinstance(error, ChannelClosedByBroker | ConnectionClosedByBroker):
        lasting = _lasting(error, where(found), permission)
        if lasting is not None:
            return lasting
    what, advice = _unavailable(error, found)
    made = HostUnavailable(f"RabbitMQ at {where(found)}{what}; {advice}")
    made.reason = f"{where(found)}{what}"
    return made


def _unavailable(error: Any, found: pika.connection.Parameters) -> tuple[str, str]:
    """What a host says or does, as the end of a clause that begins with its name; and advice."""
    if isinstance(error, ProbableAuthenticationError):
        return " refused user or password", "check STATESYS_AMQP_URL"
    if isinstance(error, ProbableAccessDeniedError):
        return (
            f" refused virtual host {found.virtual_host!r}",
            "check STATESYS_AMQP_URL and the user's permissions",
        )
    if isinstance(error, ssl.SSLError):
        return (
            f": {tls.words(error)}",
            "check scheme, host, port and the files that STATESYS_AMQP_URL names",
        )
    if isinstance(error, IncompatibleProtocolError):
        return (
            ": it does not speak AMQP there",
            "check the port of STATESYS_AMQP_URL, and write amqps:// for one with TLS",
        )
    if isinstance(error, ChannelClosedByBroker | ConnectionClosedByBroker) and (
        error.reply_code == INTERNAL_ERROR
    ):
        return f": {_words(error)}", "its log says why, and `statesys status` what is wrong"
    return (
        f": {_words(error)}",
        "start it (`statesys up`) or point STATESYS_AMQP_URL at one that runs",
    )


def _lasting(
    error: ChannelClosedByBroker | ConnectionClosedByBroker,
    where: str,
    permission: Permission | None,
) -> PermissionMissing | TopologyWrong | None:
    """The error if an operator has to repair something; None for all others."""
    if error.reply_code == ACCESS_REFUSED and isinstance(error, ChannelClosedByBroker):
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
    # pika's texts of a time-out are about its own steps.
    if isinstance(error, AMQPConnectorStackTimeout | ConnectionOpenAborted) or (
        isinstance(error, TimeoutError) and not error.strerror
    ):
        return f"no answer within {CONNECT_TIMEOUT} s"
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
