"""Short, blocking operations at the broker: declare, read depths, take single messages."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import (
    AMQPError,
    ChannelClosedByBroker,
    NackError,
    UnroutableError,
)

from runtime.broker.connecting import ACCESS_REFUSED, Permission, connect, failure
from runtime.broker.events import Delivery
from runtime.broker.properties import Properties
from schemas.errors import NotTaken
from schemas.topology import Exchange, Queue

T = TypeVar("T")

#: AMQP's reply code for a missing queue or exchange.
_NOT_FOUND = 404
#: Seconds that an operation waits while an alarm blocks publishers.
BLOCKED_TIMEOUT = 30


class QueueDepth(NamedTuple):
    """Messages ready in a queue (without delivered, unsettled ones), and its consumers."""

    ready: int
    consumers: int


class Administration:
    """A blocking connection for short operations; use it as a context manager.

    Raises:
        BrokerUnavailable: from every method, when there is no connection, or it is lost.
        PermissionMissing: from every method, when the user lacks a permission.
        TopologyWrong: from every method, when a queue or exchange differs from ours.
    """

    def __init__(self, url: str, *, name: str) -> None:
        connect(url, name, self._connect)

    def __enter__(self) -> "Administration":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; never raises."""
        try:
            if self._connection.is_open:
                self._connection.close()
        except (AMQPError, OSError):
            # The connection is broken, and so closed already.
            pass

    def declare(self, queues: Iterable[Queue]) -> list[str]:
        """Create the queues (and their exchanges) that are missing, and verify those that exist.

        If the user may configure a queue, RabbitMQ compares it with the declaration. For other
        users it only has to exist: workers need no permission to configure.

        Returns:
            The unverified ones, such as `queue 'statesys.dead'`; none for an installer.

        Raises:
            TopologyWrong: one exists and differs from the declaration.
            PermissionMissing: one is missing, and the user may not create it.
        """
        unverified = []
        for queue in queues:
            verified = {f"queue '{queue.name}'": self._declare_queue(queue)}
            if (exchange := queue.exchange) is not None:
                verified[f"exchange '{exchange.name}'"] = self._declare_exchange(exchange)
                verified[f"binding of queue '{queue.name}'"] = self._bind(
                    self._channel.queue_bind, queue.name, exchange
                )
                if exchange.before is not None:
                    verified |= self._declare_before(exchange, exchange.before)
            unverified += [what for what, done in verified.items() if not done]
        return unverified

    def exchange_exists(self, name: str) -> bool:
        """Whether there is an exchange of this name."""
        found = self._tolerating(
            _NOT_FOUND, lambda: self._channel.exchange_declare(name, passive=True)
        )
        return found is not None

    def unbind(self, queue: str, exchange: Exchange) -> None:
        """Remove the binding of a queue to an exchange; nothing happens if there is none."""
        with self._translated("write"):
            self._channel.queue_unbind(queue, exchange.name, exchange.key)

    def depth(self, queue: str) -> QueueDepth | None:
        """Depth of a queue, None when it does not exist."""
        found = self._tolerating(
            _NOT_FOUND, lambda: self._channel.queue_declare(queue, passive=True).method
        )
        return None if found is None else QueueDepth(found.message_count, found.consumer_count)

    def purge(self, queue: str) -> None:
        """Delete all ready messages of a queue."""
        with self._translated():
            self._channel.queue_purge(queue)

    def take(self, queue: str) -> Delivery | None:
        """Take one message, unsettled; None when the queue is empty."""
        with self._translated():
            method, properties, body = self._channel.basic_get(queue)
        if method is None or properties is None or body is None:
            return None
        return Delivery(method.delivery_tag or 0, queue, body, properties, bool(method.redelivered))

    def ack(self, tag: int, *, up_to: bool = False) -> None:
        """Acknowledge a taken message; with `up_to`, all earlier ones too."""
        with self._translated():
            self._channel.basic_ack(tag, multiple=up_to)

    def requeue(self, tag: int, *, up_to: bool = False) -> None:
        """Put a taken message back into its queue; with `up_to`, all earlier ones too."""
        with self._translated():
            self._channel.basic_nack(tag, multiple=up_to, requeue=True)

    def publish(
        self, *, routing_key: str, body: bytes, properties: Properties, exchange: str = ""
    ) -> None:
        """Publish and wait for the confirm.

        Raises:
            NotTaken: the broker returned or refused the message.
        """
        try:
            with self._translated():
                self._channel.basic_publish(exchange, routing_key, body, properties, mandatory=True)
        except UnroutableError:
            raise NotTaken(
                f"no queue takes messages for {routing_key!r}; start a worker, it declares them"
            ) from None
        except NackError:
            raise NotTaken(f"the broker did not take the message for {routing_key!r}") from None

    def _connect(self, host: pika.URLParameters) -> None:
        # A blocked publisher would wait forever; a short operation fails and is tried again.
        host.blocked_connection_timeout = BLOCKED_TIMEOUT
        self._parameters = host
        with self._translated():
            self._connection = pika.BlockingConnection(host)
            try:
                self._channel: BlockingChannel = self._open()
            except BaseException:
                self.close()
                raise

    def _open(self) -> BlockingChannel:
        channel = self._connection.channel()
        channel.confirm_delivery()
        return channel

    def _declare_queue(self, queue: Queue) -> bool:
        return self._declare(
            lambda: self._channel.queue_declare(
                queue.name, durable=True, arguments=queue.arguments
            ),
            lambda: self._channel.queue_declare(queue.name, passive=True),
        )

    def _declare_exchange(self, exchange: Exchange) -> bool:
        name, arguments = exchange.name, dict(exchange.arguments)
        return self._declare(
            lambda: self._channel.exchange_declare(
                name, exchange.kind, durable=True, arguments=arguments
            ),
            lambda: self._channel.exchange_declare(name, passive=True),
        )

    def _declare_before(self, exchange: Exchange, before: Exchange) -> dict[str, bool]:
        """Declare an exchange, and bind another one behind it."""
        return {
            f"exchange '{before.name}'": self._declare_exchange(before),
            f"binding of exchange '{exchange.name}'": self._bind(
                self._channel.exchange_bind, exchange.name, before
            ),
        }

    def _declare(self, active: Callable[[], object], passive: Callable[[], object]) -> bool:
        """Declare actively; False if the user may not, and the passive declaration succeeds."""
        if self._tolerating(ACCESS_REFUSED, active) is not None:
            return True
        if self._tolerating(_NOT_FOUND, passive) is None:
            # It is missing: repeat the active declaration, to raise its refusal.
            self._tolerating(_NOT_FOUND, active, "configure")
        return False

    def _bind(self, bind: Callable[[str, str, str], object], name: str, to: Exchange) -> bool:
        """Bind a queue or exchange; False if the user may not, and another user has to bind them.

        Called also when both exist: the process that created them may have died before it bound
        them.
        """
        return self._tolerating(ACCESS_REFUSED, lambda: bind(name, to.name, to.key)) is not None

    def _tolerating(
        self, code: int, call: Callable[[], T], permission: Permission | None = None
    ) -> T | None:
        """Run a call; None when the broker answers with this code.

        A refused call closes the channel, so a new one is opened for the next call.
        """
        with self._translated(permission):
            try:
                return call()
            except ChannelClosedByBroker as error:
                self._channel = self._open()
                if error.reply_code != code:
                    raise
                return None

    @contextmanager
    def _translated(self, permission: Permission | None = None) -> Iterator[None]:
        try:
            yield
        except (UnroutableError, NackError):
            raise
        except (AMQPError, AMQPConnectorException, OSError) as error:
            raise failure(error, self._parameters, permission) from None
