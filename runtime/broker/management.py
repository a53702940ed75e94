"""RabbitMQ's management API: unacked counts and rates, which AMQP does not give.

It is optional. If it fails (no plugin, no permission, another version, a proxy's error page), its
statistics are unknown, and the commands go on without them. Its numbers are some seconds old.
"""

import base64
import json
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import SplitResult, quote, unquote, urlencode, urlsplit

from runtime.broker import tls
from runtime.broker.hosts import addresses, in_random_order
from runtime.urls import UnusableURL, strictly_split, why
from schemas.errors import BrokerUnavailable, SettingsError

#: Seconds. Short, because an operator waits for it, and the rest of the command does not need it.
TIMEOUT = 3.0
#: Seconds that its numbers may be old: the broker's collect_statistics_interval, 5 by default, plus
#: the tick interval of quorum queues, 5 as well.
STALENESS = 10.0
#: Seconds to wait for the broker to delete queues.
_EMPTYING = 30.0
#: The most of our queues in an answer; one for each fleet, so there are few.
_PAGE = 500
OURS = r"^(mp_relayendpoint(\.\d+)?|statesys\..*)$"


#: States of a queue whose node or leader does not run, or that RabbitMQ gave up.
_UNAVAILABLE = ("down", "minority", "crashed", "stopped")


class QueueStatistics(NamedTuple):
    """The management API's statistics of a queue; None is unknown.

    Attributes:
        unacked: messages delivered and not settled.
        incoming, settled: messages a second that were published, and that were acked.
        available: see `availability`.
    """

    unacked: int | None
    incoming: float | None
    settled: float | None
    available: bool | None


def queue_statistics(management_url: str, amqp_url: str) -> dict[str, QueueStatistics] | None:
    """Statistics of our queues by name.

    Args:
        management_url: such as `http://user:password@host:15672`, or https with the files of `tls`.
        amqp_url: names the virtual host.

    Returns:
        None when they are unavailable; never raises.
    """
    try:
        found = _get(management_url, virtual_host(amqp_url))
        items = found["items"] if isinstance(found, dict) else found
        queues = {str(item["name"]): item for item in items if isinstance(item, dict)}
        available = availability(management_url, queues)
        return {name: _statistics(item, available=available[name]) for name, item in queues.items()}
    except (OSError, HTTPException, ValueError, KeyError, TypeError, AttributeError):
        # OSError covers urllib's errors; the others mean that the answer is not RabbitMQ's.
        return None
    except BrokerUnavailable:
        # A certificate cannot be read.
        return None


def empty_virtual_host(management_url: str, amqp_url: str) -> None:
    """Delete the virtual host of an AMQP URL with all its contents, and create it again.

    Raises:
        BrokerUnavailable: the broker refuses, or there is no answer.
    """
    vhost = quote(virtual_host(amqp_url), safe="")
    user = quote(strictly_split(amqp_url).username or "guest", safe="")
    everything = json.dumps({"configure": ".*", "write": ".*", "read": ".*"}).encode()
    try:
        for method, path, body in (
            ("DELETE", f"vhosts/{vhost}", None),
            ("PUT", f"vhosts/{vhost}", b"{}"),
            ("PUT", f"permissions/{vhost}/{user}", everything),
        ):
            call(management_url, path, method=method, body=body, timeout=_EMPTYING)
    except (OSError, HTTPException, ValueError) as error:
        raise BrokerUnavailable(f"the broker's queues cannot be deleted: {error}") from None


def require_usable(url: str) -> None:
    """Refuse a URL that cannot be used.

    Raises:
        SettingsError: gives the reason, and quotes nothing of the URL.
    """
    try:
        _read(url)
    except ValueError as error:
        raise SettingsError(
            f"STATESYS_MANAGEMENT_URL cannot be used{why(error)}; write it as "
            "http://user:password@host:15672, several hosts with commas between, with %XX "
            "for special characters; https:// may name ?cacertfile=, &certfile= and &keyfile="
        ) from None


def virtual_host(amqp_url: str) -> str:
    """The virtual host that an AMQP URL names, as pika reads it."""
    return unquote(strictly_split(amqp_url).path[1:]) or "/"


def _get(url: str, vhost: str) -> Any:
    query = urlencode({"page": 1, "page_size": _PAGE, "name": OURS, "use_regex": "true"})
    return json.loads(call(url, f"queues/{quote(vhost, safe='')}?{query}", method="GET"))


def call(
    url: str, path: str, *, method: str, body: bytes | None = None, timeout: float = TIMEOUT
) -> bytes:
    """Call the API of one host of the URL: the first that answers, in random order.

    Args:
        url: such as `http://user:password@a:15672,b:15672`.
        path: the part after `/api/`, already quoted.
        body: JSON.
        timeout: seconds, for each host.

    Returns:
        The body of the answer.

    Raises:
        OSError, HTTPException, ValueError: no answer, a refusal, or a URL that cannot be used.
        BrokerUnavailable: a certificate or key cannot be read.
    """
    reasons: list[str] = []
    for parts, files in in_random_order(_read(url)):
        try:
            return _call(parts, files, path, method=method, body=body, timeout=timeout)
        except HTTPError:
            # An answer: each node of a cluster knows the same.
            raise
        except (OSError, HTTPException) as error:
            reasons.append(f"{parts.netloc.rpartition('@')[2]}: {getattr(error, 'reason', error)}")
    raise OSError("; ".join(reasons))


def _call(
    parts: SplitResult,
    files: tls.Files,
    path: str,
    *,
    method: str,
    body: bytes | None,
    timeout: float,
) -> bytes:
    name = parts.hostname or ""
    host = f"[{name}]" if ":" in name else name
    port = f":{parts.port}" if parts.port else ""
    secret = f"{unquote(parts.username or 'guest')}:{unquote(parts.password or 'guest')}"
    request = urllib.request.Request(  # noqa: S310 (the scheme was checked above)
        f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}/api/{path}",
        headers={
            "Authorization": f"Basic {base64.b64encode(secret.encode()).decode()}",
            "Content-Type": "application/json",
        },
        method=method,
        data=body,
    )
    # The environment's proxy is for the internet, not for a broker.
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({}), _NoRedirect()]
    if parts.scheme == "https":
        handlers.append(urllib.request.HTTPSHandler(context=tls.context(files)))
    opener = urllib.request.build_opener(*handlers)
    with opener.open(request, timeout=timeout) as answer:
        found: bytes = answer.read()
    return found


def _read(url: str) -> list[tuple[SplitResult, tls.Files]]:
    return [_read_host(one) for one in addresses(url)]


def _read_host(url: str) -> tuple[SplitResult, tls.Files]:
    url, files = tls.divided(url)
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UnusableURL("another scheme, or no host")
    if parts.query:
        raise UnusableURL("it has a parameter that statesys does not know")
    _ = parts.port
    return parts, files


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: urllib would send user and password to its target."""

    def redirect_request(self, *_: object) -> None:
        """Return None, which makes the redirect an error."""


def _statistics(item: Mapping[str, Any], *, available: bool) -> QueueStatistics:
    stats = item.get("message_stats")
    stats = stats if isinstance(stats, Mapping) else {}
    unacked = item.get("messages_unacknowledged")
    return QueueStatistics(
        unacked if isinstance(unacked, int) else None,
        _rate(stats.get("publish_details")),
        _rate(stats.get("ack_details")),
        available,
    )


def availability(url: str, queues: Mapping[str, Mapping[str, Any]]) -> dict[str, bool]:
    """Whether queues take and give messages.

    A quorum queue without a leader does not: too few of its members run, or one cannot read its
    log. A passive declaration succeeds nevertheless, and finds no message.

    Args:
        url: of the management API.
        queues: by name, as the API describes them.
    """
    found = {name: _seems_available(queue) for name, queue in queues.items()}
    # RabbitMQ 4 names the last leader, and calls a queue running while that node runs; so its
    # members are asked. RabbitMQ 3.10 refuses the question, and needs none.
    try:
        for name, queue in queues.items():
            if found[name] and queue.get("type") == "quorum":
                vhost, quoted = (quote(str(queue[key]), safe="") for key in ("vhost", "name"))
                path = f"queues/quorum/{vhost}/{quoted}/status"
                members = json.loads(call(url, path, method="GET"))
                found[name] = any(member["Raft State"] == "leader" for member in members)
    except (OSError, HTTPException, ValueError, KeyError, TypeError, BrokerUnavailable):
        # A node that hangs is waited for once, not for each queue.
        pass
    return found


def _seems_available(queue: Mapping[str, Any]) -> bool:
    leads = queue.get("type") != "quorum" or bool(queue.get("leader"))
    return leads and queue.get("state") not in _UNAVAILABLE


def _rate(details: object) -> float | None:
    rate = details.get("rate") if isinstance(details, Mapping) else None
    return float(rate) if isinstance(rate, int | float) else None
