"""A worker's log, read while it grows: JSON, one event in a line."""

import json
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

#: Levels that are no trouble; a line without one is none of a worker's.
_CALM = ("debug", "info", None)


class Event(NamedTuple):
    """One line.

    Attributes:
        name: such as `loader.chunk_loaded`.
        at: seconds since 1970.
        messages: state messages it is about; 0 when it is not about any.
        canonical: reports of the canonical shape in it; 0 when it does not say.
        seconds: that it took; 0 when it does not say.
        trouble: whether it is a warning or an error.
    """

    name: str
    at: float
    messages: int
    canonical: int
    seconds: float
    trouble: bool


class EventLog:
    """What a worker has said so far.

    Args:
        path: of the file; it may not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._events: list[Event] = []

    def read(self) -> list[Event]:
        """All events, those that came since the last call included."""
        with self._path.open("rb") as log:
            log.seek(self._offset)
            text = log.read()
        # A line without its end is still being written.
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        self._events += [event for line in whole.splitlines() if (event := _event(line))]
        return self._events


def _event(line: bytes) -> Event | None:
    try:
        keys = json.loads(line)
        return Event(
            keys["event"],
            datetime.fromisoformat(keys["timestamp"]).timestamp(),
            int(keys.get("messages", 0)),
            int(keys.get("canonical", 0)),
            float(keys.get("load_ms", 0)) / 1000,
            keys.get("level") not in _CALM,
        )
    except (ValueError, KeyError, TypeError):
        # A traceback or a warning of Python's.
        return None
