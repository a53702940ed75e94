"""Logs: one line for each unit of work, an event name plus keys, on stderr."""

import logging
import os
import sys
from datetime import UTC, datetime
from typing import Any

from runtime.log_stream import Unwritten, log_stream


def set_up_logs(*, form: str, level: str) -> None:
    """Configure structlog once for the process.

    Args:
        form: `console` for people (colours on a terminal, none with NO_COLOR), or `json`.
        level: lowest level written: debug, info, warning or error.
    """
    # Imported late: it is slow to import, and few commands log.
    import structlog  # noqa: PLC0415

    colours = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=colours, pad_event_to=0)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        # One write for each line: none is lost in part.
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    stream = log_stream()
    if stream is not None:
        stream.describe = lambda unwritten: str(renderer(None, "", _lines_lost(unwritten)))


def _lines_lost(unwritten: Unwritten) -> dict[str, Any]:
    """The event that tells of lines that could not be written; at any level."""
    return {
        "event": "log.lines_lost",
        "level": "warning",
        "timestamp": datetime.now(UTC).isoformat(),
        "lines": unwritten.lines,
        "since": unwritten.since.isoformat(timespec="seconds"),
    }
