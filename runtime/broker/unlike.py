"""Clear messages for RabbitMQ's errors about a queue or exchange that differs from ours."""

import re

#: What to do about it. A person decides whether to delete it, since it may hold messages.
REMEDY = (
    "Stop what uses it, take out the messages that it holds, delete it (in the RabbitMQ UI, for "
    "example), and start again: it is then declared as it must be"
)
_INEQUIVALENT = re.compile(
    r"inequivalent arg '(?P<property>[^']+)' for (?P<kind>queue|exchange) '(?P<name>.*)' "
    r"in vhost '.*': received (?P<needed>.*) but current is (?P<found>.*)",
    re.DOTALL,
)
_LOCKED = re.compile(r"exclusive access to locked queue '(?P<name>.*)' in vhost ", re.DOTALL)
_INVALID = re.compile(r"invalid arg '[^']+' for queue '(?P<name>.*)' in vhost ", re.DOTALL)
_UNKNOWN_TYPE = re.compile(r"unknown exchange type 'x-consistent-hash'")
_VALUE = re.compile(r"(?:the value )?'{1,2}(?P<value>[^']*)'{1,2}(?: of type '\w+')?", re.DOTALL)


def words(text: str) -> str | None:
    """What exists, what is needed, and what to do; None when the text is about something else.

    Args:
        text: of the broker, such as "PRECONDITION_FAILED - inequivalent arg 'durable' for queue
            'q' in vhost '/': received 'true' but current is 'false'".
    """
    if (found := _INEQUIVALENT.search(text)) is not None:
        return (
            f"{found['kind']} '{found['name']}' exists, and its {found['property']} is "
            f"{_value(found['found'])}; needed is {_value(found['needed'])}. {REMEDY}"
        )
    if (found := _LOCKED.search(text)) is not None:
        return (
            f"queue '{found['name']}' exists, and is exclusive to a connection of another "
            f"program; needed is one that all may use. {REMEDY}"
        )
    if (found := _INVALID.search(text)) is not None:
        return f"it cannot make queue '{found['name']}' ({text}); RabbitMQ 3.10 or newer can"
    if _UNKNOWN_TYPE.search(text) is not None:
        return (
            "shards need the plugin that comes with it: run `rabbitmq-plugins enable "
            "rabbitmq_consistent_hash_exchange` on every node (for private servers `statesys down` "
            "and `statesys up`), and try again"
        )
    return None


def _value(text: str) -> str:
    """`'true'` of "'true'", `'5'` of "the value '5' of type 'long'", "not set" of "none"."""
    found = _VALUE.fullmatch(text)
    return "not set" if found is None else f"'{found['value']}'"
