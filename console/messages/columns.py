"""The columns of a list of messages as CSV."""

from console.names import state_name, topic_name
from console.queries.messages import FoundMessage

COLUMNS = (
    *("loaded_at", "client_id", "client_name", "serial", "topic_type", "topic", "topic_id"),
    *("user_name", "user_sid", "state_id", "state", "criticality", "message_time"),
    *("received_at", "reused", "digest"),
)


def cells(row: FoundMessage) -> list[object]:
    """The values of a message, one for each column."""
    named = {
        "topic": topic_name(row.topic_type),
        "state": state_name(row.topic_type, row.state_id),
    }
    data = {**row._asdict(), **named}
    return [data[column] for column in COLUMNS]
