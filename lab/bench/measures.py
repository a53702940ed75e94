"""What a bench asks of its own database, and the one thing it does to it: begin anew."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import LiteralString, NamedTuple, cast

from runtime.database import own_session
from runtime.statements import statements

_NAME = "statesys bench"
#: A long reader is held up on purpose.
_WAITS = {"idle_in_transaction_session_timeout": "0"}


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
    with own_session(url, _NAME, autocommit=True) as session:
        session.execute(_text("begin_anew"))
        session.execute(_text("flush"))


def loaded(url: str, since: float) -> int:
    """State messages that came into the history since a moment (seconds since 1970)."""
    with own_session(url, _NAME, autocommit=True) as session:
        found = session.execute(_text("loaded"), [since]).fetchone()
        assert found is not None
        return int(found[0])


def times(url: str, since: float) -> Times:
    """How long the messages took that were loaded since a moment (seconds since 1970)."""
    with own_session(url, _NAME, autocommit=True) as session:
        found = session.execute(_text("times"), [since]).fetchone()
        assert found is not None
        queue, total = found
        return Times(Percentiles(*queue), Percentiles(*total))


def partitions(url: str) -> set[str]:
    """Names of the partitions of the history, half dropped ones included."""
    with own_session(url, _NAME, autocommit=True) as session:
        return {name for (name,) in session.execute(_text("partitions"))}


@contextmanager
def reading(url: str) -> Iterator[None]:
    """A long reader, such as a dump: one snapshot of the whole history, until the end."""
    with own_session(url, f"{_NAME} reader", autocommit=True, different=_WAITS) as session:
        session.execute(_text("begin_reading"))
        session.execute(_text("read"))
        yield


def _text(name: str) -> LiteralString:
    # The file is ours and constant, which is what LiteralString is about.
    text = statements("lab.bench", "measures.sql")[name]
    return cast(LiteralString, text)  # type: ignore[redundant-cast]
