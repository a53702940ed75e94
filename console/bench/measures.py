"""What a bench asks of its own database, and the one thing it does to it: begin anew."""

from typing import LiteralString, NamedTuple, cast

from console.queries.connecting import connected
from runtime.statements import statements

_NAME = "statesys bench"


class Percentiles(NamedTuple):
    """In seconds."""

    p50: float
    p95: float
    p99: float


class Times(NamedTuple):
    """From the relay to the database, and from the client to the database."""

    queue: Percentiles
    total: Percentiles


def wipe(url: str) -> None:
    """Remove all of statesys from the bench's database."""
    with connected(url, name=_NAME, read_only=False) as connection:
        connection.execute(_text("begin_anew"))
        connection.execute(_text("flush"))


def loaded(url: str) -> int:
    """State messages in the history."""
    with connected(url, name=_NAME) as connection:
        found = connection.execute(_text("loaded")).fetchone()
        assert found is not None
        return int(found[0])


def times(url: str) -> Times:
    """How long the messages in the history took."""
    with connected(url, name=_NAME) as connection:
        found = connection.execute(_text("times")).fetchone()
        assert found is not None
        queue, total = found
        return Times(Percentiles(*queue), Percentiles(*total))


def _text(name: str) -> LiteralString:
    # The file is ours and constant, which is what LiteralString is about.
    text = statements("console.bench", "measures.sql")[name]
    return cast(LiteralString, text)  # type: ignore[redundant-cast]
